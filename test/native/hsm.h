// A throw-away SoftHSM token for the driver: its own directory and configuration, initialised,
// with a user PIN, logged in, with AES keys made as keystead makes them.
//
// For: what JavaScript does in a real HSM worker before the addon is used.
// Leaves out: the addon's verbs, which the driver tests.

#pragma once

#include <string>
#include <vector>

#include "cryptoki.h"
#include "token.h"

namespace keystead::test {

class Hsm {
 public:
  explicit Hsm(const std::string& modulePath);
  ~Hsm();
  Hsm(const Hsm&) = delete;
  Hsm& operator=(const Hsm&) = delete;

  const CK_FUNCTION_LIST& functions() const { return module_.functions(); }
  CK_SLOT_ID slot() const { return slot_; }

  void LogIn();
  void LogOut();
  // C_CloseAllSessions, which also logs out; LogIn opens a management session again.
  void CloseAllSessions();
  CK_OBJECT_HANDLE MakeKey(KeyName name);
  void Destroy(CK_OBJECT_HANDLE object);
  // The session objects (copies) of that name that any session of this process holds.
  std::vector<CK_OBJECT_HANDLE> Copies(KeyName name);

 private:
  struct Directory {
    Directory();
    ~Directory();
    std::string path;
  };
  void InitialiseToken();

  Directory directory_;  // first: the configuration must stand before C_Initialize
  Module module_;
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
};

}  // namespace keystead::test
