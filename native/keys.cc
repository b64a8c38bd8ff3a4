// Index, search and session copies of a token's AES keys; see keys.h.

#include "keys.h"

#include <array>
#include <functional>
#include <utility>

namespace keystead {
namespace {

// What every search starts with. These cost nothing to compare, while id and label of a private
// object are decrypted first, so they come last. CKA_TOKEN keeps our own session copies out.
struct AesTokenKey {
  CK_ULONG keyClass = CKO_SECRET_KEY;
  CK_ULONG keyType = CKK_AES;
  CK_BBOOL onToken = CK_TRUE;
  std::array<CK_ATTRIBUTE, 3> attributes{{{CKA_CLASS, &keyClass, sizeof keyClass},
                                          {CKA_KEY_TYPE, &keyType, sizeof keyType},
                                          {CKA_TOKEN, &onToken, sizeof onToken}}};
  AesTokenKey() = default;
  AesTokenKey(const AesTokenKey&) = delete;
  AesTokenKey& operator=(const AesTokenKey&) = delete;
};

CK_ATTRIBUTE Text(CK_ULONG type, std::string_view text) {
  return {type, const_cast<char*>(text.data()), text.size()};
}

CK_OBJECT_HANDLE OnlyOne(const std::vector<CK_OBJECT_HANDLE>& objects) {
  if (objects.empty()) {
    throw Pkcs11Error{CKR_OBJECT_HANDLE_INVALID, "C_FindObjects", ErrorKind::kKeyMissing};
  }
  if (objects.size() > 1) {
    throw Pkcs11Error{CKR_TEMPLATE_INCONSISTENT, "C_FindObjects", ErrorKind::kKeyAmbiguous};
  }
  return objects.front();
}

}  // namespace

std::size_t KeyCache::Hash::operator()(KeyName name) const {
  const std::hash<std::string_view> hash;
  return hash(name.id) * 31 + hash(name.label);
}

std::vector<CK_OBJECT_HANDLE> KeyCache::Find(std::span<CK_ATTRIBUTE> attributes) {
  Lease lease(sessions_);
  const CK_SESSION_HANDLE session = lease.session();
  // Without a login private keys are invisible; that must not read as "the key does not exist".
  Check(sessions_.LoggedIn(session) ? CKR_OK : CKR_USER_NOT_LOGGED_IN, "C_GetSessionInfo");
  Check(functions_.C_FindObjectsInit(session, attributes.data(), attributes.size()),
        "C_FindObjectsInit");
  std::vector<CK_OBJECT_HANDLE> found;
  std::array<CK_OBJECT_HANDLE, 256> batch;
  CK_ULONG count = 0;
  do {
    Check(functions_.C_FindObjects(session, batch.data(), batch.size(), &count), "C_FindObjects");
    found.insert(found.end(), batch.begin(), batch.begin() + count);
  } while (count > 0);
  Check(functions_.C_FindObjectsFinal(session), "C_FindObjectsFinal");
  lease.EndedCleanly();
  return found;
}

// Nothing for an object that cannot be one of ours: half made by an interrupted C_GenerateKey,
// damaged, just destroyed by another process, or with a name longer than a lookup accepts. Such an
// object must not take the other keys with it.
std::optional<KeyCache::StoredName> KeyCache::ReadName(CK_SESSION_HANDLE session,
                                                       CK_OBJECT_HANDLE object) const {
  std::array<char, kMaxIdBytes> id;
  std::array<char, kMaxLabelBytes> label;
  std::array<CK_ATTRIBUTE, 2> attributes{
      {{CKA_ID, id.data(), id.size()}, {CKA_LABEL, label.data(), label.size()}}};
  const CK_RV rv = functions_.C_GetAttributeValue(session, object, attributes.data(), 2);
  switch (rv) {
    case CKR_OK:
      return StoredName{std::string(id.data(), attributes[0].ulValueLen),
                        std::string(label.data(), attributes[1].ulValueLen)};
    case CKR_ATTRIBUTE_SENSITIVE:
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_BUFFER_TOO_SMALL:
    case CKR_OBJECT_HANDLE_INVALID:
      return std::nullopt;
    default:
      if (rv == CKR_GENERAL_ERROR && sessions_.LoggedIn(session)) return std::nullopt;
      throw Pkcs11Error{rv, "C_GetAttributeValue", ErrorKind::kToken};
  }
}

KeyCache::Keys KeyCache::ReadAll() {
  AesTokenKey pattern;
  const std::vector<CK_OBJECT_HANDLE> objects = Find(pattern.attributes);
  Lease lease(sessions_);
  Keys keys;
  for (const CK_OBJECT_HANDLE object : objects) {
    std::optional<StoredName> name = ReadName(lease.session(), object);
    if (name) keys[std::move(*name)].objects.push_back(object);
  }
  lease.EndedCleanly();
  return keys;
}

std::size_t KeyCache::Index() {
  Keys indexed = ReadAll();
  Clear();
  keys_ = std::move(indexed);
  std::size_t count = 0;
  for (const auto& [name, key] : keys_) count += key.objects.size();
  return count;
}

// SoftHSM decrypts id and label of each object it compares, and gives up the whole search with
// CKR_GENERAL_ERROR at one that it cannot decrypt. Then all names are read, which passes over
// damaged objects; if it is the token that fails, this fails too.
std::vector<CK_OBJECT_HANDLE> KeyCache::FindNamed(KeyName name) {
  AesTokenKey pattern;
  const auto& [keyClass, keyType, onToken] = pattern.attributes;
  std::array<CK_ATTRIBUTE, 5> attributes{keyClass, keyType, onToken, Text(CKA_ID, name.id),
                                         Text(CKA_LABEL, name.label)};
  try {
    return Find(attributes);
  } catch (const Pkcs11Error& error) {
    if (error.rv != CKR_GENERAL_ERROR) throw;
  }
  const Keys all = ReadAll();
  const auto found = all.find(name);
  return found == all.end() ? std::vector<CK_OBJECT_HANDLE>{} : found->second.objects;
}

// Asks the token for exactly this key: one that the management side has just made, or one whose
// handle went stale.
KeyCache::Key& KeyCache::Search(KeyName name) {
  const CK_OBJECT_HANDLE object = OnlyOne(FindNamed(name));
  Key& key = keys_[StoredName{std::string(name.id), std::string(name.label)}];
  key.objects = {object};
  return key;
}

CK_OBJECT_HANDLE KeyCache::Copy(KeyName name) {
  const auto known = keys_.find(name);
  Key& key = known == keys_.end() ? Search(name) : known->second;
  if (key.copy != CK_INVALID_HANDLE) return key.copy;
  const CK_OBJECT_HANDLE object = OnlyOne(key.objects);
  CK_BBOOL onToken = CK_FALSE;
  CK_ATTRIBUTE change{CKA_TOKEN, &onToken, sizeof onToken};
  CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
  Check(functions_.C_CopyObject(sessions_.anchor(), object, &change, 1, &copy), "C_CopyObject");
  return key.copy = copy;
}

// Best effort: a copy that is gone already has nothing left to destroy.
void KeyCache::DestroyCopy(Key& key) const {
  if (key.copy == CK_INVALID_HANDLE) return;
  functions_.C_DestroyObject(sessions_.anchor(), key.copy);
  key.copy = CK_INVALID_HANDLE;
}

void KeyCache::Forget(KeyName name) {
  const auto known = keys_.find(name);
  if (known == keys_.end()) return;
  DestroyCopy(known->second);
  keys_.erase(known);
}

void KeyCache::Clear() {
  for (auto& [name, key] : keys_) DestroyCopy(key);
  keys_.clear();
}

}  // namespace keystead
