// The AES keys of a token by id and label, and the session copies that operations use.
//
// For: never searching on the request path (a search costs 20 to 40 us per object on the token),
// and failing closed where a name does not mean exactly one key. SoftHSM encrypts three times
// faster under a session copy than under the token object, and without touching a file.
// Leaves out: making and destroying token keys (JavaScript does), and whether a key found still
// holds the right bytes (the parent's canary tells).

#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "session.h"

namespace keystead {

// CKA_ID (the backing key id) and CKA_LABEL (the key ARN); both are always needed.
struct KeyName {
  std::string_view id;
  std::string_view label;
  bool operator==(const KeyName&) const = default;
};

class KeyCache {
 public:
  static constexpr std::size_t kMaxIdBytes = 256;
  static constexpr std::size_t kMaxLabelBytes = 1024;

  KeyCache(const CK_FUNCTION_LIST& functions, Sessions& sessions)
      : functions_(functions), sessions_(sessions) {}
  KeyCache(const KeyCache&) = delete;
  KeyCache& operator=(const KeyCache&) = delete;

  // Reads the name of every AES token key and drops all copies. Returns how many objects were
  // read, twins included.
  std::size_t Index();
  // The session copy of the one key of that name, made on first use. A name unknown to the index
  // is searched for once. Throws kKeyMissing or kKeyAmbiguous.
  CK_OBJECT_HANDLE Copy(KeyName name);
  void Forget(KeyName name);
  void Clear();

 private:
  struct StoredName {
    std::string id;
    std::string label;
    operator KeyName() const { return {id, label}; }
  };
  // Transparent, so that a lookup by views allocates nothing.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(KeyName name) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(KeyName left, KeyName right) const { return left == right; }
  };
  struct Key {
    std::vector<CK_OBJECT_HANDLE> objects;
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
  };

  using Keys = std::unordered_map<StoredName, Key, Hash, Equal>;

  std::vector<CK_OBJECT_HANDLE> Find(std::span<CK_ATTRIBUTE> attributes);
  std::vector<CK_OBJECT_HANDLE> FindNamed(KeyName name);
  std::optional<StoredName> ReadName(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) const;
  Keys ReadAll();
  Key& Search(KeyName name);
  void DestroyCopy(Key& key) const;

  const CK_FUNCTION_LIST& functions_;
  Sessions& sessions_;
  Keys keys_;
};

}  // namespace keystead
