// The cap on an HSM worker's memory, see memory.h.

#include "memory.h"

#include <sys/resource.h>

#include "cryptoki.h"

namespace keystead {

void LimitMemory(std::uint64_t bytes) {
  const rlimit none = {0, 0};
  const rlimit space = {bytes, bytes};
  if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_AS, &space) != 0) {
    throw Pkcs11Error{CKR_ARGUMENTS_BAD, "setrlimit", ErrorKind::kBadArgument};
  }
}

}  // namespace keystead
