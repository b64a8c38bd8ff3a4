// Opening, closing and judging sessions; see session.h.

#include "session.h"

#include <utility>

namespace keystead {

Session::Session(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) : functions_(functions) {
  Check(functions_.C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &handle_),
        "C_OpenSession");
}

// Nothing follows from an error here: the session is not used again.
Session::~Session() { functions_.C_CloseSession(handle_); }

Sessions::Sessions(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot)
    : functions_(functions), slot_(slot), anchor_(std::in_place, functions, slot) {}

void Sessions::Close() {
  working_.reset();
  anchor_.reset();
}

bool Sessions::LoggedIn(CK_SESSION_HANDLE session) const {
  CK_SESSION_INFO info{};
  return functions_.C_GetSessionInfo(session, &info) == CKR_OK &&
         (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS);
}

}  // namespace keystead
