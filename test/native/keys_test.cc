// Which key is used: exactly the named one, found once, remade when its handle went stale.

#include <string>

#include "check.h"
#include "cryptoki.h"
#include "hsm.h"
#include "probe.h"
#include "token.h"

namespace keystead::test {
namespace {

void TwinsAreAmbiguous(Hsm& hsm) {
  const Name name("twin");
  hsm.MakeKey(name);
  const CK_OBJECT_HANDLE twin = hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  CHECK(Try([&] { Seal(token, name, {}); }).Is(ErrorKind::kKeyAmbiguous));  // by search
  token.Index();
  const Outcome indexed = Try([&] { Seal(token, name, {}); });
  CHECK(indexed.Is(ErrorKind::kKeyAmbiguous, "C_FindObjects", CKR_TEMPLATE_INCONSISTENT));
  CHECK(hsm.Copies(name).empty());
  hsm.Destroy(twin);
  CHECK(Try([&] { Seal(token, name, {}); }).Is(ErrorKind::kKeyAmbiguous));
  token.Forget(name);
  CHECK(Works(token, name));
}

void MissingKeys(Hsm& hsm) {
  const Name name("present");
  const Name absent("absent");
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  token.Index();
  for (const KeyName wrong : {KeyName(absent), KeyName{name.id, absent.label},
                              KeyName{absent.id, name.label}, KeyName{"p", name.label}}) {
    CHECK(Try([&] { Seal(token, wrong, {}); })
              .Is(ErrorKind::kKeyMissing, "C_FindObjects", CKR_OBJECT_HANDLE_INVALID));
  }
  CHECK(Works(token, name));
}

void KeysComeAndGo(Hsm& hsm) {
  const Name name("comes");
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const std::size_t before = token.Index();
  const CK_OBJECT_HANDLE object = hsm.MakeKey(name);
  CHECK(Works(token, name));  // made after the index
  const std::size_t searches = probe.Calls("C_FindObjectsInit");
  CHECK(Works(token, name));
  CHECK(probe.Calls("C_FindObjectsInit") == searches);  // found once, remembered
  const Data sealed = Seal(token, name, Pattern(5));
  CHECK(token.Index() == before + 1);
  CHECK(hsm.Copies(name).empty());  // the index dropped the copy
  CHECK(Open(token, name, sealed) == Pattern(5));
  hsm.Destroy(object);
  CHECK(Open(token, name, sealed) == Pattern(5));  // a copy outlives its token object
  token.Forget(name);
  CHECK(hsm.Copies(name).empty());
  CHECK(Try([&] { Open(token, name, sealed); }).Is(ErrorKind::kKeyMissing));
  token.Forget(name);
}

void StaleHandlesAreRefreshed(Hsm& hsm) {
  const Name name("stale");
  const CK_OBJECT_HANDLE object = hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  token.Index();
  const Data sealed = Seal(token, name, Pattern(9));
  hsm.Destroy(hsm.Copies(name).at(0));
  CHECK(Open(token, name, sealed) == Pattern(9));
  CHECK(hsm.Copies(name).size() == 1);
  hsm.Destroy(hsm.Copies(name).at(0));
  hsm.Destroy(object);
  CHECK(Try([&] { Open(token, name, sealed); }).Is(ErrorKind::kKeyMissing));
  hsm.MakeKey(name);
  CHECK(Works(token, name));
  probe.FailNext("C_EncryptInit", CKR_KEY_HANDLE_INVALID);  // the standard's code for it
  CHECK(!Try([&] { Seal(token, name, {}); }).threw);
  token.Index();
  probe.FailNext("C_CopyObject", CKR_OBJECT_HANDLE_INVALID);  // the token object went meanwhile
  CHECK(!Try([&] { Seal(token, name, {}); }).threw);
}

void StrangeObjectsDoNotStopTheIndex(Hsm& hsm) {
  const Name name("strange");
  hsm.MakeKey(name);
  const CK_OBJECT_HANDLE nameless = hsm.MakeKey({"", ""});
  const CK_OBJECT_HANDLE tooLong = hsm.MakeKey({std::string(300, 'x'), name.label});
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const std::size_t all = token.Index();
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE,
                         CKR_OBJECT_HANDLE_INVALID, CKR_BUFFER_TOO_SMALL}) {
    probe.FailNext("C_GetAttributeValue", rv);
    CHECK(token.Index() == all - 1);
  }
  hsm.Destroy(tooLong);
  CHECK(token.Index() == all);
  hsm.Destroy(nameless);
  CHECK(token.Index() == all - 1);
  CHECK(Works(token, name));
}

// A search by name gives up at an object whose name it cannot decrypt; healthy keys must not.
void DamagedObjectsDoNotStopTheSearch(Hsm& hsm) {
  const Name name("healthy");
  const Name absent("unhealthy");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  probe.FailNext("C_FindObjectsInit", CKR_GENERAL_ERROR);
  CHECK(Works(token, name));
  probe.FailNext("C_FindObjectsInit", CKR_GENERAL_ERROR);
  CHECK(Try([&] { Seal(token, absent, {}); }).Is(ErrorKind::kKeyMissing));
}

}  // namespace

std::vector<Test> KeysTests() {
  return {TwinsAreAmbiguous, MissingKeys, KeysComeAndGo, StaleHandlesAreRefreshed,
          StrangeObjectsDoNotStopTheIndex, DamagedObjectsDoNotStopTheSearch};
}

}  // namespace keystead::test
