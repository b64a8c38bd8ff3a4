// The forwarding table of the probe; see probe.h.

#include "probe.h"

#include <utility>

namespace keystead::test {
namespace {

Probe* current = nullptr;

// Wraps one entry of the table: `Member` says which, the name is the one errors carry.
template <auto Member, typename Signature>
struct Forward;

template <auto Member, typename... Arguments>
struct Forward<Member, CK_RV (*)(Arguments...)> {
  static inline const char* name = nullptr;
  static CK_RV Call(Arguments... arguments) {
    const CK_RV fault = current->Enter(name);
    return fault != CKR_OK ? fault : (current->real().*Member)(arguments...);
  }
};

template <auto Member>
void Wrap(CK_FUNCTION_LIST& table, const char* name) {
  using Wrapper = Forward<Member, std::remove_reference_t<decltype(table.*Member)>>;
  Wrapper::name = name;
  table.*Member = &Wrapper::Call;
}

CK_RV GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE* output, CK_ULONG count) {
  current->randomSizes().push_back(count);
  const CK_RV fault = current->Enter("C_GenerateRandom");
  return fault != CKR_OK ? fault : current->real().C_GenerateRandom(session, output, count);
}

CK_RV Encrypt(CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG dataLen, CK_BYTE* output,
              CK_ULONG* outputLen) {
  const CK_RV fault = current->Enter("C_Encrypt");
  if (fault != CKR_OK) return fault;
  if (current->onEncrypt) return current->onEncrypt(session, data, dataLen, output, outputLen);
  return current->real().C_Encrypt(session, data, dataLen, output, outputLen);
}

CK_RV Decrypt(CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG dataLen, CK_BYTE* output,
              CK_ULONG* outputLen) {
  const CK_RV fault = current->Enter("C_Decrypt");
  if (fault != CKR_OK) return fault;
  if (current->onDecrypt) return current->onDecrypt(session, data, dataLen, output, outputLen);
  return current->real().C_Decrypt(session, data, dataLen, output, outputLen);
}

}  // namespace

Probe::Probe(const CK_FUNCTION_LIST& real) : real_(real), table_(real) {
  using List = CK_FUNCTION_LIST;
  current = this;
  Wrap<&List::C_OpenSession>(table_, "C_OpenSession");
  Wrap<&List::C_CloseSession>(table_, "C_CloseSession");
  Wrap<&List::C_GetSessionInfo>(table_, "C_GetSessionInfo");
  Wrap<&List::C_CopyObject>(table_, "C_CopyObject");
  Wrap<&List::C_DestroyObject>(table_, "C_DestroyObject");
  Wrap<&List::C_GetAttributeValue>(table_, "C_GetAttributeValue");
  Wrap<&List::C_FindObjectsInit>(table_, "C_FindObjectsInit");
  Wrap<&List::C_FindObjects>(table_, "C_FindObjects");
  Wrap<&List::C_FindObjectsFinal>(table_, "C_FindObjectsFinal");
  Wrap<&List::C_EncryptInit>(table_, "C_EncryptInit");
  Wrap<&List::C_DecryptInit>(table_, "C_DecryptInit");
  table_.C_GenerateRandom = &GenerateRandom;
  table_.C_Encrypt = &Encrypt;
  table_.C_Decrypt = &Decrypt;
}

Probe::~Probe() { current = nullptr; }

CK_RV Probe::Enter(const char* function) {
  ++calls_[function];
  const auto fault = faults_.find(function);
  if (fault == faults_.end()) return CKR_OK;
  const CK_RV rv = fault->second;
  faults_.erase(fault);
  return rv;
}

}  // namespace keystead::test
