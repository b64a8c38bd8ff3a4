// The sessions a token is worked with: one that stays, one that is used.
//
// For: the rule that decides whether a session may serve the next call, in one place.
// Leaves out: login (JavaScript owns it) and what is done in the sessions (keys.h, token.h).

#pragma once

#include <optional>

#include "cryptoki.h"

namespace keystead {

// A read-only session, closed with the object. Read-only is enough for session copies, and the
// token then refuses to change or destroy a token object through it (CKR_SESSION_READ_ONLY).
class Session {
 public:
  Session(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  CK_SESSION_HANDLE handle() const { return handle_; }

 private:
  const CK_FUNCTION_LIST& functions_;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
};

class Sessions {
 public:
  Sessions(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot);
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // Never used for operations and never closed before Close(): session objects die with the
  // session that made them, and the login with the last session (PKCS#11 v2.40 section 2.6).
  bool open() const { return anchor_.has_value(); }
  CK_SESSION_HANDLE anchor() const { return anchor_->handle(); }
  void Close();

  // Whether the session is alive and the user logged in.
  bool LoggedIn(CK_SESSION_HANDLE session) const;

 private:
  friend class Lease;

  const CK_FUNCTION_LIST& functions_;
  const CK_SLOT_ID slot_;
  std::optional<Session> anchor_;
  std::optional<Session> working_;
};

// The working session for the length of one operation. PKCS#11 v2.40 cannot cancel an operation,
// and after many errors it stays active and blocks the next one (CKR_OPERATION_ACTIVE). So the
// session is closed on every way out, exceptions included, unless the operation ended cleanly.
// One lease at a time.
class Lease {
 public:
  explicit Lease(Sessions& sessions) : sessions_(sessions) {
    if (!sessions_.working_) sessions_.working_.emplace(sessions_.functions_, sessions_.slot_);
  }
  ~Lease() {
    if (!clean_) sessions_.working_.reset();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  CK_SESSION_HANDLE session() const { return sessions_.working_->handle(); }
  void EndedCleanly() { clean_ = true; }

 private:
  Sessions& sessions_;
  bool clean_ = false;
};

}  // namespace keystead
