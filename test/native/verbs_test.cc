// What each verb promises on a sound token: layout, authenticity, randomness, limits, wiping.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "cryptoki.h"
#include "hsm.h"
#include "probe.h"
#include "token.h"

namespace keystead::test {
namespace {

void RoundTrips(Hsm& hsm) {
  const Name name("roundtrip");
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  CHECK(token.Index() >= 1);
  for (const std::size_t size : {0UL, 1UL, 16UL, 4096UL, Token::kMaxInputBytes}) {
    for (const std::size_t aadSize : {0UL, 1UL, 8192UL}) {
      const Data data = Pattern(size);
      const Data aad = Pattern(aadSize);
      const Data sealed = Seal(token, name, data, aad);
      CHECK(sealed.size() == 12 + size + 16);
      CHECK(Open(token, name, sealed, aad) == data);
    }
  }
  CHECK(hsm.Copies(name).size() == 1);
}

void InitialisationVectors(Hsm& hsm) {
  const Name name("iv");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  std::set<Data> ivs;
  for (int i = 0; i < 2000; ++i) {
    const Data sealed = Seal(token, name, Pattern(8));
    ivs.insert(Data(sealed.begin(), sealed.begin() + 12));
  }
  CHECK(ivs.size() == 2000);
  CHECK(probe.randomSizes() == std::vector<CK_ULONG>(2000, 12));
}

void EveryAlterationIsRefused(Hsm& hsm) {
  const Name name("tamper");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(64));
  const std::size_t sessions = probe.Calls("C_OpenSession");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      Data altered = sealed;
      altered[i] ^= flip;
      CHECK(Try([&] { Open(token, name, altered); })
                .Is(ErrorKind::kTagFailure, "C_Decrypt", CKR_GENERAL_ERROR));
    }
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    const Data cut(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(size));
    const Outcome outcome = Try([&] { Open(token, name, cut); });
    CHECK(size < 28 ? outcome.Is(ErrorKind::kBadArgument, "decrypt", CKR_ENCRYPTED_DATA_LEN_RANGE)
                    : outcome.Is(ErrorKind::kTagFailure));
  }
  Data longer = sealed;
  longer.push_back(0);
  CHECK(Try([&] { Open(token, name, longer); }).Is(ErrorKind::kTagFailure));
  CHECK(Open(token, name, sealed) == Pattern(64));
  CHECK(probe.Calls("C_OpenSession") == sessions);  // a refused tag keeps the session
}

void WrongContextOrKeyIsRefused(Hsm& hsm) {
  const Name name("context");
  const Name other("other");
  hsm.MakeKey(name);
  hsm.MakeKey(other);
  Token token(hsm.functions(), hsm.slot());
  token.Index();
  const Data sealed = Seal(token, name, Pattern(32));
  CHECK(Try([&] { Open(token, name, sealed, {}); }).Is(ErrorKind::kTagFailure));
  CHECK(Try([&] { Open(token, name, sealed, Pattern(7)); }).Is(ErrorKind::kTagFailure));
  CHECK(Try([&] { Open(token, other, sealed); }).Is(ErrorKind::kTagFailure));
  CHECK(Open(token, name, sealed) == Pattern(32));
}

void DataKeys(Hsm& hsm) {
  const Name name("datakey");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  for (const std::size_t size : {1UL, 16UL, 32UL, 64UL, 1024UL}) {
    Data output(Token::DataKeyBytes(size));
    probe.randomSizes().clear();
    token.GenerateDataKey(name, kAad, size, output);
    const auto end = output.begin() + static_cast<std::ptrdiff_t>(size);
    CHECK(Open(token, name, Data(end, output.end())) == Data(output.begin(), end));
    CHECK(probe.randomSizes() == std::vector<CK_ULONG>{size + 12});
  }
  for (const std::size_t size : {0UL, 1025UL, ~0UL}) {
    CHECK(Try([&] { Token::DataKeyBytes(size); }).Is(ErrorKind::kBadArgument));
    Data output(100);
    CHECK(Try([&] { token.GenerateDataKey(name, kAad, size, output); })
              .Is(ErrorKind::kBadArgument));
  }
  Data output(Token::DataKeyBytes(32), 0xAA);
  probe.FailNext("C_Encrypt", CKR_DEVICE_ERROR);
  CHECK(Try([&] { token.GenerateDataKey(name, kAad, 32, output); }).Is(ErrorKind::kToken));
  CHECK(output == Data(output.size(), 0));  // a key that was not sealed does not stay in memory
}

void RandomBytes(Hsm& hsm) {
  Token token(hsm.functions(), hsm.slot());
  std::set<Data> seen;
  for (int i = 0; i < 100; ++i) {
    Data bytes(32);
    token.Random(bytes);
    seen.insert(bytes);
  }
  CHECK(seen.size() == 100);
  CHECK(Try([&] { token.Random({}); }).Is(ErrorKind::kBadArgument));
  CHECK(Try([&] { Token::RandomBytes(Token::kMaxInputBytes + 1); }).Is(ErrorKind::kBadArgument));
}

// Decrypted data passes through a buffer of Token's own, which holds nothing afterwards.
void DecryptedDataIsWiped(Hsm& hsm) {
  const Name name("wiped");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, Pattern(100));
  const std::uint8_t* written = nullptr;
  bool decrypted = false;
  probe.onDecrypt = [&](CK_SESSION_HANDLE session, const CK_BYTE* data, CK_ULONG size,
                        CK_BYTE* output, CK_ULONG* length) {
    const CK_RV rv = probe.real().C_Decrypt(session, data, size, output, length);
    written = output;
    decrypted = Data(output, output + 100) == Pattern(100);
    return rv;
  };
  CHECK(Open(token, name, sealed) == Pattern(100));
  CHECK(decrypted && Data(written, written + 116) == Data(116, 0));
}

void BadArguments(Hsm& hsm) {
  const Name name("arguments");
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  const std::string longText(1025, 'x');
  for (const KeyName bad : {KeyName{"", name.label}, KeyName{name.id, ""}, KeyName{{}, {}},
                            KeyName{longText, name.label}, KeyName{name.id, longText}}) {
    CHECK(Try([&] { Seal(token, bad, {}); })
              .Is(ErrorKind::kBadArgument, "encrypt", CKR_ARGUMENTS_BAD));
    CHECK(Try([&] { Open(token, bad, Data(28)); }).Is(ErrorKind::kBadArgument));
    CHECK(Try([&] { token.Forget(bad); }).Is(ErrorKind::kBadArgument));
  }
  const Data large(Token::kMaxInputBytes + 1);
  Data output(64);
  CHECK(Try([&] { Token::SealedBytes(large.size()); }).Is(ErrorKind::kBadArgument));
  CHECK(Try([&] { Token::OpenedBytes(large.size() + 28); }).Is(ErrorKind::kBadArgument));
  CHECK(Try([&] { Seal(token, name, {}, large); }).Is(ErrorKind::kBadArgument));
  CHECK(Try([&] { token.Encrypt(name, kAad, Data(5), output); }).Is(ErrorKind::kBadArgument));
  CHECK(Try([&] { token.Decrypt(name, kAad, Data(40), output); }).Is(ErrorKind::kBadArgument));
}

void ClosingEndsEverything(Hsm& hsm) {
  const Name name("close");
  hsm.MakeKey(name);
  Probe probe(hsm.functions());
  Token token(probe.functions(), hsm.slot());
  const Data sealed = Seal(token, name, {});
  Data output(Token::DataKeyBytes(1));
  token.Close();
  token.Close();
  CHECK(hsm.Copies(name).empty());
  CHECK(probe.Calls("C_OpenSession") == 2 && probe.Calls("C_CloseSession") == 2);
  for (const std::function<void()>& verb : std::vector<std::function<void()>>{
           [&] { token.Index(); }, [&] { Seal(token, name, {}); },
           [&] { Open(token, name, sealed); }, [&] { token.Random(output); },
           [&] { token.GenerateDataKey(name, kAad, 1, output); }, [&] { token.Forget(name); }}) {
    CHECK(Try(verb).Is(ErrorKind::kBadArgument));
  }
  CHECK(probe.Calls("C_OpenSession") == 2);
}

}  // namespace

std::vector<Test> VerbsTests() {
  return {RoundTrips, InitialisationVectors, EveryAlterationIsRefused, WrongContextOrKeyIsRefused,
          DataKeys, RandomBytes, DecryptedDataIsWiped, BadArguments, ClosingEndsEverything};
}

}  // namespace keystead::test
