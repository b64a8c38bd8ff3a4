// The part of PKCS#11 v2.40 that keystead calls, and the loader of a module.
//
// For: types, constants and the function table in the order of the standard (base specification
// section 5, header pkcs11f.h), written out here so that building needs no vendor header.
// Leaves out: everything about keys and sessions (token.h), and C_Initialize. In the HSM worker
// pkcs11js has initialised the same module in the same process and owns the login; a second
// C_Initialize would only answer CKR_CRYPTOKI_ALREADY_INITIALIZED, and C_Finalize here would end
// the library for both sides.
//
// Unlike the standard's header, inputs are declared const: the calling convention is the same and
// callers need no casts.

#pragma once

#include <cstddef>
#include <string>

namespace keystead {

using CK_BYTE = unsigned char;
using CK_BBOOL = CK_BYTE;
using CK_ULONG = unsigned long;
using CK_FLAGS = CK_ULONG;
using CK_RV = CK_ULONG;
using CK_SLOT_ID = CK_ULONG;
using CK_SESSION_HANDLE = CK_ULONG;
using CK_OBJECT_HANDLE = CK_ULONG;

inline constexpr CK_BBOOL CK_TRUE = 1;
inline constexpr CK_BBOOL CK_FALSE = 0;
inline constexpr CK_ULONG CK_INVALID_HANDLE = 0;

inline constexpr CK_FLAGS CKF_OS_LOCKING_OK = 0x2;     // CK_C_INITIALIZE_ARGS
inline constexpr CK_FLAGS CKF_RW_SESSION = 0x2;        // CK_SESSION_INFO
inline constexpr CK_FLAGS CKF_SERIAL_SESSION = 0x4;    // must always be set
inline constexpr CK_ULONG CKU_SO = 0;
inline constexpr CK_ULONG CKU_USER = 1;
inline constexpr CK_ULONG CKS_RO_USER_FUNCTIONS = 1;
inline constexpr CK_ULONG CKS_RW_USER_FUNCTIONS = 3;

inline constexpr CK_ULONG CKO_SECRET_KEY = 0x4;
inline constexpr CK_ULONG CKK_AES = 0x1F;
inline constexpr CK_ULONG CKM_AES_KEY_GEN = 0x1080;
inline constexpr CK_ULONG CKM_AES_GCM = 0x1087;

inline constexpr CK_ULONG CKA_CLASS = 0x0;
inline constexpr CK_ULONG CKA_TOKEN = 0x1;
inline constexpr CK_ULONG CKA_PRIVATE = 0x2;
inline constexpr CK_ULONG CKA_LABEL = 0x3;
inline constexpr CK_ULONG CKA_KEY_TYPE = 0x100;
inline constexpr CK_ULONG CKA_ID = 0x102;
inline constexpr CK_ULONG CKA_SENSITIVE = 0x103;
inline constexpr CK_ULONG CKA_ENCRYPT = 0x104;
inline constexpr CK_ULONG CKA_DECRYPT = 0x105;
inline constexpr CK_ULONG CKA_WRAP = 0x106;
inline constexpr CK_ULONG CKA_UNWRAP = 0x107;
inline constexpr CK_ULONG CKA_SIGN = 0x108;
inline constexpr CK_ULONG CKA_VERIFY = 0x10A;
inline constexpr CK_ULONG CKA_DERIVE = 0x10C;
inline constexpr CK_ULONG CKA_VALUE_LEN = 0x161;
inline constexpr CK_ULONG CKA_EXTRACTABLE = 0x162;
inline constexpr CK_ULONG CKA_ALLOWED_MECHANISMS = 0x40000600;

inline constexpr CK_RV CKR_OK = 0x0;
inline constexpr CK_RV CKR_HOST_MEMORY = 0x2;
inline constexpr CK_RV CKR_GENERAL_ERROR = 0x5;
inline constexpr CK_RV CKR_FUNCTION_FAILED = 0x6;
inline constexpr CK_RV CKR_ARGUMENTS_BAD = 0x7;
inline constexpr CK_RV CKR_ATTRIBUTE_SENSITIVE = 0x11;
inline constexpr CK_RV CKR_ATTRIBUTE_TYPE_INVALID = 0x12;
inline constexpr CK_RV CKR_DATA_INVALID = 0x20;
inline constexpr CK_RV CKR_DEVICE_ERROR = 0x30;
inline constexpr CK_RV CKR_ENCRYPTED_DATA_INVALID = 0x40;
inline constexpr CK_RV CKR_ENCRYPTED_DATA_LEN_RANGE = 0x41;
inline constexpr CK_RV CKR_KEY_HANDLE_INVALID = 0x60;
inline constexpr CK_RV CKR_OBJECT_HANDLE_INVALID = 0x82;
inline constexpr CK_RV CKR_SESSION_HANDLE_INVALID = 0xB3;
inline constexpr CK_RV CKR_TEMPLATE_INCONSISTENT = 0xD1;
inline constexpr CK_RV CKR_USER_NOT_LOGGED_IN = 0x101;
inline constexpr CK_RV CKR_BUFFER_TOO_SMALL = 0x150;

struct CK_VERSION {
  CK_BYTE major;
  CK_BYTE minor;
};

struct CK_ATTRIBUTE {
  CK_ULONG type;
  void* pValue;
  CK_ULONG ulValueLen;
};

struct CK_MECHANISM {
  CK_ULONG mechanism;
  void* pParameter;
  CK_ULONG ulParameterLen;
};

// ulIvBits is missing in the text of v2.40 and present in its header. Modules follow the header:
// SoftHSM answers CKR_ARGUMENTS_BAD to the 40-byte form.
struct CK_GCM_PARAMS {
  const CK_BYTE* pIv;
  CK_ULONG ulIvLen;
  CK_ULONG ulIvBits;
  const CK_BYTE* pAAD;
  CK_ULONG ulAADLen;
  CK_ULONG ulTagBits;
};
static_assert(sizeof(CK_GCM_PARAMS) == 48);

struct CK_SESSION_INFO {
  CK_SLOT_ID slotID;
  CK_ULONG state;
  CK_FLAGS flags;
  CK_ULONG ulDeviceError;
};

struct CK_C_INITIALIZE_ARGS {
  void* CreateMutex;
  void* DestroyMutex;
  void* LockMutex;
  void* UnlockMutex;
  CK_FLAGS flags;
  void* pReserved;
};

// A table entry that keeps its place only; it cannot be called by accident.
using Uncalled = void*;

struct CK_FUNCTION_LIST {
  CK_VERSION version;
  CK_RV (*C_Initialize)(CK_C_INITIALIZE_ARGS* arguments);
  CK_RV (*C_Finalize)(void* reserved);
  Uncalled C_GetInfo, C_GetFunctionList;
  CK_RV (*C_GetSlotList)(CK_BBOOL tokenPresent, CK_SLOT_ID* slots, CK_ULONG* count);
  Uncalled C_GetSlotInfo, C_GetTokenInfo, C_GetMechanismList, C_GetMechanismInfo;
  CK_RV (*C_InitToken)(CK_SLOT_ID, const CK_BYTE* pin, CK_ULONG pinLen, const CK_BYTE* label32);
  CK_RV (*C_InitPIN)(CK_SESSION_HANDLE, const CK_BYTE* pin, CK_ULONG pinLen);
  Uncalled C_SetPIN;
  CK_RV (*C_OpenSession)(CK_SLOT_ID, CK_FLAGS, void* application, void* notify,
                         CK_SESSION_HANDLE* session);
  CK_RV (*C_CloseSession)(CK_SESSION_HANDLE);
  CK_RV (*C_CloseAllSessions)(CK_SLOT_ID);
  CK_RV (*C_GetSessionInfo)(CK_SESSION_HANDLE, CK_SESSION_INFO* info);
  Uncalled C_GetOperationState, C_SetOperationState;
  CK_RV (*C_Login)(CK_SESSION_HANDLE, CK_ULONG userType, const CK_BYTE* pin, CK_ULONG pinLen);
  CK_RV (*C_Logout)(CK_SESSION_HANDLE);
  Uncalled C_CreateObject;
  CK_RV (*C_CopyObject)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* changes,
                        CK_ULONG count, CK_OBJECT_HANDLE* copy);
  CK_RV (*C_DestroyObject)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE);
  Uncalled C_GetObjectSize;
  CK_RV (*C_GetAttributeValue)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_ATTRIBUTE* attributes,
                               CK_ULONG count);
  Uncalled C_SetAttributeValue;
  CK_RV (*C_FindObjectsInit)(CK_SESSION_HANDLE, CK_ATTRIBUTE* attributes, CK_ULONG count);
  CK_RV (*C_FindObjects)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE* objects, CK_ULONG maximum,
                         CK_ULONG* count);
  CK_RV (*C_FindObjectsFinal)(CK_SESSION_HANDLE);
  CK_RV (*C_EncryptInit)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE key);
  CK_RV (*C_Encrypt)(CK_SESSION_HANDLE, const CK_BYTE* data, CK_ULONG dataLen, CK_BYTE* output,
                     CK_ULONG* outputLen);
  Uncalled C_EncryptUpdate, C_EncryptFinal;
  CK_RV (*C_DecryptInit)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE key);
  CK_RV (*C_Decrypt)(CK_SESSION_HANDLE, const CK_BYTE* data, CK_ULONG dataLen, CK_BYTE* output,
                     CK_ULONG* outputLen);
  Uncalled C_DecryptUpdate, C_DecryptFinal;
  Uncalled C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey, C_DigestFinal;
  Uncalled C_SignInit, C_Sign, C_SignUpdate, C_SignFinal, C_SignRecoverInit, C_SignRecover;
  Uncalled C_VerifyInit, C_Verify, C_VerifyUpdate, C_VerifyFinal;
  Uncalled C_VerifyRecoverInit, C_VerifyRecover;
  Uncalled C_DigestEncryptUpdate, C_DecryptDigestUpdate;
  Uncalled C_SignEncryptUpdate, C_DecryptVerifyUpdate;
  CK_RV (*C_GenerateKey)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_ATTRIBUTE* attributes,
                         CK_ULONG count, CK_OBJECT_HANDLE* key);
  Uncalled C_GenerateKeyPair, C_WrapKey, C_UnwrapKey, C_DeriveKey, C_SeedRandom;
  CK_RV (*C_GenerateRandom)(CK_SESSION_HANDLE, CK_BYTE* output, CK_ULONG count);
  Uncalled C_GetFunctionStatus, C_CancelFunction, C_WaitForSlotEvent;
};
// The version (padded) and the 68 functions of v2.40.
static_assert(sizeof(CK_FUNCTION_LIST) == 69 * sizeof(void*));

enum class ErrorKind {
  kToken,         // the token or the library failed; rv says how
  kTagFailure,    // C_Decrypt refused the data and the session is sound: bad blob or damaged key
  kKeyMissing,    // no key of that id and label
  kKeyAmbiguous,  // more than one: which is meant cannot be told, so none is used
  kBadArgument,   // refused before the token was asked
};

// The one error of this boundary. `function` is a string literal: a C_ function, or the verb that
// refused its arguments. It never carries data.
struct Pkcs11Error {
  CK_RV rv;
  const char* function;
  ErrorKind kind;
};

inline void Check(CK_RV rv, const char* function) {
  if (rv != CKR_OK) throw Pkcs11Error{rv, function, ErrorKind::kToken};
}

// A PKCS#11 library held open. Any module will do, also one that forwards, as pkcs11-spy does.
class Module {
 public:
  explicit Module(const std::string& path);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  const CK_FUNCTION_LIST& functions() const { return *functions_; }

 private:
  void* library_ = nullptr;
  const CK_FUNCTION_LIST* functions_ = nullptr;
};

}  // namespace keystead
