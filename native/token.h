// One logged-in PKCS#11 token and its data-key verbs: encrypt, decrypt, generate a data key,
// random bytes. One call is one complete operation, and leaves the library fit for the next one
// whatever the token answered.
//
// For: AES-256-GCM under keys addressed by id and label, written straight into the caller's
// buffers.
// Leaves out: C_Initialize, login and every management verb (JavaScript does them in the same
// process), telling a damaged key from a bad blob (the parent's canary does), and N-API (addon.cc).
// Not for several threads: the HSM worker is synchronous, and SoftHSM loses speed with threads.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cryptoki.h"
#include "keys.h"
#include "session.h"

namespace keystead {

using Bytes = std::span<const std::uint8_t>;
using Output = std::span<std::uint8_t>;

class Token {
 public:
  // Constants, never input: SoftHSM takes an IV of length 0 for 16 zero bytes and accepts tags of
  // 8 bits, and a shortened tag verifies when asked for shortened.
  static constexpr std::size_t kIvBytes = 12;
  static constexpr std::size_t kTagBytes = 16;
  static constexpr std::size_t kMaxDataKeyBytes = 1024;
  static constexpr std::size_t kMaxInputBytes = 1 << 20;

  // `functions` must outlive the token. Throws Pkcs11Error, as everything below does.
  Token(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot);
  ~Token();
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  // The size each verb's output must have; throws kBadArgument for an input no verb takes.
  static std::size_t SealedBytes(std::size_t plaintextBytes);
  static std::size_t OpenedBytes(std::size_t sealedBytes);
  static std::size_t DataKeyBytes(std::size_t keyBytes);
  static std::size_t RandomBytes(std::size_t bytes);

  // Reads the names of all keys on the token; returns how many.
  std::size_t Index();
  // sealed = iv || ciphertext || tag
  void Encrypt(KeyName name, Bytes aad, Bytes plaintext, Output sealed);
  void Decrypt(KeyName name, Bytes aad, Bytes sealed, Output plaintext);
  // output = plaintext || iv || ciphertext || tag
  void GenerateDataKey(KeyName name, Bytes aad, std::size_t keyBytes, Output output);
  void Random(Output output);
  // Drops what is known of a key; its next use searches the token.
  void Forget(KeyName name);
  // Destroys the copies and closes the sessions; afterwards only Close may be called.
  void Close();

 private:
  void Require(bool condition, const char* verb) const;
  void RequireInput(KeyName name, Bytes aad, const char* verb) const;
  template <class Use>
  void WithKey(KeyName name, Use use);
  void Seal(CK_OBJECT_HANDLE key, Bytes aad, Bytes plaintext, Output sealed);
  void Open(CK_OBJECT_HANDLE key, Bytes aad, Bytes sealed, Output plaintext);
  void FillRandom(Output output);

  const CK_FUNCTION_LIST& functions_;
  Sessions sessions_;
  KeyCache keys_;
  std::vector<std::uint8_t> scratch_;  // decrypted data on its way out; wiped after each use
};

}  // namespace keystead
