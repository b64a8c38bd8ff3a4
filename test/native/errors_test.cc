// Conduct after errors, partly injected between Token and the module: what is reported, and that
// the next call is served.

#include <functional>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cryptoki.h"
#include "hsm.h"
#include "memory.h"
#include "probe.h"
#include "token.h"

namespace keystead::test {
namespace {

// Each function fails once; the error names it, and the next call is served.
void EveryTokenErrorIsSurvived(Hsm& hsm) {
  const Name name("faults");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(3));
  Data dataKey(Token::DataKeyBytes(16));
  const auto fails = [&](const char* function, const std::function<void()>& action) {
    token.Forget(name);
    probe.FailNext(function, CKR_DEVICE_ERROR);
    CHECK(Try(action).Is(ErrorKind::kToken, function, CKR_DEVICE_ERROR));
    CHECK(Works(token, name));
  };
  const auto encrypt = [&] { Seal(token, name, {}); };
  const auto decrypt = [&] { Open(token, name, sealed); };
  const auto generate = [&] { token.GenerateDataKey(name, kAad, 16, dataKey); };
  for (const char* function : {"C_GenerateRandom", "C_FindObjectsInit", "C_FindObjects",
                               "C_FindObjectsFinal", "C_CopyObject", "C_EncryptInit",
                               "C_Encrypt"}) {
    fails(function, encrypt);
    fails(function, generate);
  }
  for (const char* function : {"C_FindObjectsInit", "C_CopyObject", "C_DecryptInit", "C_Decrypt"}) {
    fails(function, decrypt);
  }
  fails("C_GetAttributeValue", [&] { token.Index(); });
  probe.FailNext("C_DecryptInit", CKR_GENERAL_ERROR);  // only C_Decrypt judges data
  CHECK(Try(decrypt).Is(ErrorKind::kToken));
  probe.FailNext("C_OpenSession", CKR_DEVICE_ERROR);
  CHECK(Try(decrypt).Is(ErrorKind::kToken, "C_OpenSession", CKR_DEVICE_ERROR));
  CHECK(Works(token, name));
}

void ThousandsOfErrors(Hsm& hsm) {
  const Name name("errors");
  const Name absent("noerrors");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  token.Index();
  const Data sealed = Seal(token, name, Pattern(20));
  Data altered = sealed;
  altered.back() ^= 1;
  bool steady = true;
  for (int i = 0; i < 1000; ++i) {
    steady &= Try([&] { Open(token, name, altered); }).Is(ErrorKind::kTagFailure);
    steady &= Try([&] { Open(token, absent, sealed); }).Is(ErrorKind::kKeyMissing);
    steady &= Try([&] { Open(token, name, Data(27)); }).Is(ErrorKind::kBadArgument);
    probe.FailNext(i % 2 == 0 ? "C_Decrypt" : "C_DecryptInit", CKR_DEVICE_ERROR);
    steady &= Try([&] { Open(token, name, sealed); }).Is(ErrorKind::kToken);
    steady &= Open(token, name, sealed) == Pattern(20);
  }
  CHECK(steady);
  CHECK(Works(token, name));
  CHECK(probe.Calls("C_OpenSession") - probe.Calls("C_CloseSession") == 2);
}

// An operation that stays active (PKCS#11 v2.40 section 5.2 on CKR_BUFFER_TOO_SMALL) must not
// meet the next call.
void ActiveOperationsAreLeftBehind(Hsm& hsm) {
  const Name name("active");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(30));
  const auto small = [](auto function) {
    return [function](CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG size,
                      CK_BYTE* output, CK_ULONG*) {
      CK_ULONG room = 1;
      return function(session, data, size, output, &room);
    };
  };
  probe.onDecrypt = small(probe.real().C_Decrypt);
  probe.onEncrypt = small(probe.real().C_Encrypt);
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_Decrypt", CKR_BUFFER_TOO_SMALL));
  CHECK(Try([&] { Seal(token, name, {}); })
            .Is(ErrorKind::kToken, "C_Encrypt", CKR_BUFFER_TOO_SMALL));
  probe.onDecrypt = nullptr;
  probe.onEncrypt = nullptr;
  CHECK(Works(token, name));
}

void WrongLengthsAreTokenErrors(Hsm& hsm) {
  const Name name("lengths");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(30));
  const auto shorter = [](auto function) {
    return [function](CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG size,
                      CK_BYTE* output, CK_ULONG* length) {
      const CK_RV rv = function(session, data, size, output, length);
      *length -= 1;
      return rv;
    };
  };
  probe.onDecrypt = shorter(probe.real().C_Decrypt);
  probe.onEncrypt = shorter(probe.real().C_Encrypt);
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_Decrypt", CKR_FUNCTION_FAILED));
  CHECK(Try([&] { Seal(token, name, {}); })
            .Is(ErrorKind::kToken, "C_Encrypt", CKR_FUNCTION_FAILED));
}

// The codes of a refused tag say so only while the session is alive and logged in.
void TagFailuresNeedASoundSession(Hsm& hsm) {
  const Name name("sound");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(30));
  CK_RV answer = CKR_OK;
  probe.onDecrypt = [&](CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG size,
                        CK_BYTE* output, CK_ULONG* length) {
    probe.real().C_Decrypt(session, data, size, output, length);  // ends the operation
    return answer;
  };
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_ENCRYPTED_DATA_INVALID,
                         CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_DATA_INVALID}) {
    answer = rv;
    const std::size_t opened = probe.Calls("C_OpenSession");
    CHECK(Try([&] { Open(token, name, sealed); }).Is(ErrorKind::kTagFailure, "C_Decrypt", rv));
    CHECK(Try([&] { Seal(token, name, {}); }).threw == false);
    CHECK(probe.Calls("C_OpenSession") == opened);
    probe.FailNext("C_GetSessionInfo", CKR_DEVICE_ERROR);
    CHECK(Try([&] { Open(token, name, sealed); }).Is(ErrorKind::kToken, "C_Decrypt", rv));
    CHECK(Try([&] { Seal(token, name, {}); }).threw == false);
    CHECK(probe.Calls("C_OpenSession") == opened + 1);
  }
  probe.onDecrypt = [&](CK_SESSION_HANDLE, const CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*) {
    hsm.LogOut();
    return CKR_GENERAL_ERROR;
  };
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_Decrypt", CKR_GENERAL_ERROR));
  probe.onDecrypt = nullptr;
  hsm.LogIn();
  CHECK(Works(token, name));
}

void LogoutIsNotAMissingKey(Hsm& hsm) {
  const Name name("logout");
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(30));
  hsm.LogOut();
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_GetSessionInfo", CKR_USER_NOT_LOGGED_IN));
  CHECK(Try([&] { token.Index(); }).Is(ErrorKind::kToken));
  hsm.LogIn();
  CHECK(Open(token, name, sealed) == Pattern(30));  // the copy died with the login and is remade
}

// The anchor cannot be replaced behind the user's back: errors until the worker is replaced.
void LostSessionsAreTokenErrors(Hsm& hsm) {
  const Name name("lost");
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(30));
  hsm.CloseAllSessions();
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_DecryptInit", CKR_SESSION_HANDLE_INVALID));
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_GetSessionInfo", CKR_USER_NOT_LOGGED_IN));
  hsm.LogIn();
  CHECK(Try([&] { Open(token, name, sealed); })
            .Is(ErrorKind::kToken, "C_CopyObject", CKR_SESSION_HANDLE_INVALID));
  Token replaced(hsm.functions(), hsm.slot());
  replaced.Index();
  CHECK(Open(replaced, name, sealed) == Pattern(30));
}

void ModulesThatAreNone(Hsm& hsm) {
  CHECK(Try([] { Module module("/nowhere/libpkcs11.so"); }).Is(ErrorKind::kToken, "dlopen", 6));
  CHECK(Try([] { Module module("libm.so.6"); }).Is(ErrorKind::kToken, "C_GetFunctionList", 6));
  CHECK(Try([&] { Token token(hsm.functions(), 0x7FFFFFFF); }).Is(ErrorKind::kToken));
}

// In a child: the cap cannot be taken back. It is set and read only, since AddressSanitizer
// itself needs terabytes of address space.
void MemoryCap(Hsm&) {
  const pid_t child = fork();
  if (child == 0) {
    constexpr rlim_t kCap = rlim_t{1} << 50;
    rlimit space{}, core{};
    LimitMemory(kCap);
    getrlimit(RLIMIT_AS, &space);
    getrlimit(RLIMIT_CORE, &core);
    const bool set = space.rlim_cur == kCap && space.rlim_max == kCap && core.rlim_max == 0;
    _exit(set ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace

std::vector<Test> ErrorsTests() {
  return {EveryTokenErrorIsSurvived, ThousandsOfErrors, ActiveOperationsAreLeftBehind,
          WrongLengthsAreTokenErrors, TagFailuresNeedASoundSession, LogoutIsNotAMissingKey,
          LostSessionsAreTokenErrors, ModulesThatAreNone, MemoryCap};
}

}  // namespace keystead::test
