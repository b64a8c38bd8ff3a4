// Memory of the process: wiping what held plaintext, and the cap of an HSM worker.
// Leaves out allocation itself; buffers belong to their callers.

#pragma once

#include <cstdint>
#include <span>
#include <string.h>

namespace keystead {

// Wipes a buffer at the end of the scope, on every way out, unless released first.
class Wipe {
 public:
  explicit Wipe(std::span<std::uint8_t> bytes) : bytes_(bytes) {}
  ~Wipe() {
    if (!bytes_.empty()) explicit_bzero(bytes_.data(), bytes_.size());
  }
  Wipe(const Wipe&) = delete;
  Wipe& operator=(const Wipe&) = delete;

  void Release() { bytes_ = {}; }

 private:
  std::span<std::uint8_t> bytes_;
};

// Caps the address space of this process for good (soft and hard limit), since a damaged length
// field in a token file makes SoftHSM allocate gigabytes; and forbids core dumps, which would hold
// PINs and plaintext. Throws Pkcs11Error of kind kBadArgument.
void LimitMemory(std::uint64_t bytes);

}  // namespace keystead
