// Making, filling and removing a throw-away SoftHSM token; see hsm.h.

#include "hsm.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace keystead::test {
namespace {

constexpr std::string_view kSoPin = "officer-pin";
constexpr std::string_view kUserPin = "kmsuser-pin";

const CK_BYTE* Bytewise(std::string_view text) {
  return reinterpret_cast<const CK_BYTE*>(text.data());
}

CK_ATTRIBUTE Text(CK_ULONG type, std::string_view text) {
  return {type, const_cast<char*>(text.data()), text.size()};
}

}  // namespace

Hsm::Directory::Directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "keystead-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path = pattern;
  std::filesystem::create_directory(path + "/tokens");
  std::ofstream(path + "/softhsm2.conf") << "directories.tokendir = " << path << "/tokens\n"
                                         << "objectstore.backend = file\nlog.level = ERROR\n";
  setenv("SOFTHSM2_CONF", (path + "/softhsm2.conf").c_str(), 1);
}

Hsm::Directory::~Directory() { std::filesystem::remove_all(path); }

Hsm::Hsm(const std::string& modulePath) : module_(modulePath) {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  Check(functions().C_Initialize(&arguments), "C_Initialize");
  InitialiseToken();
  LogIn();
}

Hsm::~Hsm() { functions().C_Finalize(nullptr); }

void Hsm::InitialiseToken() {
  CK_ULONG count = 0;
  Check(functions().C_GetSlotList(CK_FALSE, nullptr, &count), "C_GetSlotList");
  std::vector<CK_SLOT_ID> slots(count);
  Check(functions().C_GetSlotList(CK_FALSE, slots.data(), &count), "C_GetSlotList");
  slot_ = slots.at(0);
  std::string label = "cluster-driver";
  label.resize(32, ' ');
  Check(functions().C_InitToken(slot_, Bytewise(kSoPin), kSoPin.size(), Bytewise(label)),
        "C_InitToken");
  CK_SESSION_HANDLE officer = CK_INVALID_HANDLE;
  Check(functions().C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                  &officer),
        "C_OpenSession");
  Check(functions().C_Login(officer, CKU_SO, Bytewise(kSoPin), kSoPin.size()), "C_Login");
  Check(functions().C_InitPIN(officer, Bytewise(kUserPin), kUserPin.size()), "C_InitPIN");
  Check(functions().C_Logout(officer), "C_Logout");
  Check(functions().C_CloseSession(officer), "C_CloseSession");
}

void Hsm::LogIn() {
  if (session_ == CK_INVALID_HANDLE) {
    Check(functions().C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                    &session_),
          "C_OpenSession");
  }
  Check(functions().C_Login(session_, CKU_USER, Bytewise(kUserPin), kUserPin.size()), "C_Login");
}

void Hsm::LogOut() { Check(functions().C_Logout(session_), "C_Logout"); }

void Hsm::CloseAllSessions() {
  Check(functions().C_CloseAllSessions(slot_), "C_CloseAllSessions");
  session_ = CK_INVALID_HANDLE;
}

CK_OBJECT_HANDLE Hsm::MakeKey(KeyName name) {
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_ULONG length = 32;
  CK_ULONG allowed = CKM_AES_GCM;
  std::vector<CK_ATTRIBUTE> key;
  for (const CK_ULONG type : {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_ENCRYPT, CKA_DECRYPT}) {
    key.push_back({type, &yes, sizeof yes});
  }
  for (const CK_ULONG type :
       {CKA_EXTRACTABLE, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE, CKA_SIGN, CKA_VERIFY}) {
    key.push_back({type, &no, sizeof no});
  }
  key.push_back({CKA_VALUE_LEN, &length, sizeof length});
  key.push_back({CKA_ALLOWED_MECHANISMS, &allowed, sizeof allowed});
  key.push_back(Text(CKA_ID, name.id));
  key.push_back(Text(CKA_LABEL, name.label));
  CK_MECHANISM generate{CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  Check(functions().C_GenerateKey(session_, &generate, key.data(), key.size(), &handle),
        "C_GenerateKey");
  return handle;
}

void Hsm::Destroy(CK_OBJECT_HANDLE object) {
  Check(functions().C_DestroyObject(session_, object), "C_DestroyObject");
}

std::vector<CK_OBJECT_HANDLE> Hsm::Copies(KeyName name) {
  CK_BBOOL onToken = CK_FALSE;
  std::array<CK_ATTRIBUTE, 3> attributes{CK_ATTRIBUTE{CKA_TOKEN, &onToken, sizeof onToken},
                                         Text(CKA_ID, name.id), Text(CKA_LABEL, name.label)};
  Check(functions().C_FindObjectsInit(session_, attributes.data(), attributes.size()),
        "C_FindObjectsInit");
  std::vector<CK_OBJECT_HANDLE> found(16);
  CK_ULONG count = 0;
  Check(functions().C_FindObjects(session_, found.data(), found.size(), &count), "C_FindObjects");
  Check(functions().C_FindObjectsFinal(session_), "C_FindObjectsFinal");
  found.resize(count);
  return found;
}

}  // namespace keystead::test
