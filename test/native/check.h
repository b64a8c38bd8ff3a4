// What the driver's tests share: CHECK, caught errors, names of keys, and sealing in one line.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hsm.h"
#include "token.h"

namespace keystead::test {

struct Count {
  int passed = 0;
  int failed = 0;
};
Count& Counted();
void Record(bool ok, const char* condition, const char* file, int line);
#define CHECK(condition) Record((condition), #condition, __FILE__, __LINE__)

struct Outcome {
  bool threw = false;
  Pkcs11Error error{};
  bool Is(ErrorKind kind) const { return threw && error.kind == kind; }
  bool Is(ErrorKind kind, const char* function, CK_RV rv) const;
};
Outcome Try(const std::function<void()>& action);

// A key's name with its own storage. Every test makes keys of its own.
struct Name {
  explicit Name(const std::string& title)
      : id(title + std::string(64 - title.size(), '0')),
        label("arn:aws:kms:eu-central-1:111122223333:key/" + title) {}
  operator KeyName() const { return {id, label}; }
  std::string id;
  std::string label;
};

using Data = std::vector<std::uint8_t>;
Data Pattern(std::size_t size);
inline const Data kAad = {'c', 'o', 'n', 't', 'e', 'x', 't'};
Data Seal(Token& token, KeyName name, const Data& plaintext, const Data& aad = kAad);
Data Open(Token& token, KeyName name, const Data& sealed, const Data& aad = kAad);
// Whether a roundtrip under that key succeeds.
bool Works(Token& token, KeyName name);

using Test = void (*)(Hsm&);
std::vector<Test> VerbsTests();
std::vector<Test> KeysTests();
std::vector<Test> ErrorsTests();

}  // namespace keystead::test
