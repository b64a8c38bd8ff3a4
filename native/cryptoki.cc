// Loads a PKCS#11 module: dlopen and C_GetFunctionList (PKCS#11 v2.40 section 5.4).
// Leaves out C_Initialize and C_Finalize; see cryptoki.h.

#include "cryptoki.h"

#include <dlfcn.h>

namespace keystead {
namespace {

using GetFunctionList = CK_RV (*)(const CK_FUNCTION_LIST** functions);

const CK_FUNCTION_LIST* FunctionsOf(void* library) {
  const auto get = reinterpret_cast<GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  const CK_FUNCTION_LIST* functions = nullptr;
  Check(get == nullptr ? CKR_FUNCTION_FAILED : get(&functions), "C_GetFunctionList");
  // A v3 module hands out the v2.40 table here, marked 2.40; another major has another layout.
  const bool usable = functions != nullptr && functions->version.major == 2;
  Check(usable ? CKR_OK : CKR_FUNCTION_FAILED, "C_GetFunctionList");
  return functions;
}

}  // namespace

// RTLD_NODELETE: the library may have registered exit handlers and thread-local state, so its code
// has to outlive the last dlclose. The reference count still follows this object.
Module::Module(const std::string& path)
    : library_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
  Check(library_ == nullptr ? CKR_FUNCTION_FAILED : CKR_OK, "dlopen");
  try {
    functions_ = FunctionsOf(library_);
  } catch (...) {
    dlclose(library_);
    throw;
  }
}

Module::~Module() { dlclose(library_); }

}  // namespace keystead
