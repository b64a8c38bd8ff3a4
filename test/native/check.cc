// Counting checks and the tests' shorthands; see check.h.

#include "check.h"

#include <cstdio>
#include <cstring>

namespace keystead::test {

Count& Counted() {
  static Count count;
  return count;
}

void Record(bool ok, const char* condition, const char* file, int line) {
  ++(ok ? Counted().passed : Counted().failed);
  if (!ok) std::printf("%s:%d: failed: %s\n", file, line, condition);
}

bool Outcome::Is(ErrorKind kind, const char* function, CK_RV rv) const {
  return Is(kind) && rv == error.rv && std::strcmp(error.function, function) == 0;
}

Outcome Try(const std::function<void()>& action) {
  try {
    action();
    return {};
  } catch (const Pkcs11Error& error) {
    return {true, error};
  }
}

Data Pattern(std::size_t size) {
  Data data(size);
  for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return data;
}

Data Seal(Token& token, KeyName name, const Data& plaintext, const Data& aad) {
  Data sealed(Token::SealedBytes(plaintext.size()));
  token.Encrypt(name, aad, plaintext, sealed);
  return sealed;
}

Data Open(Token& token, KeyName name, const Data& sealed, const Data& aad) {
  Data plaintext(Token::OpenedBytes(sealed.size()));
  token.Decrypt(name, aad, sealed, plaintext);
  return plaintext;
}

bool Works(Token& token, KeyName name) {
  const Data data = Pattern(40);
  bool same = false;
  const Outcome outcome = Try([&] { same = Open(token, name, Seal(token, name, data)) == data; });
  return !outcome.threw && same;
}

}  // namespace keystead::test
