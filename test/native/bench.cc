// Operations per second of Token against the same PKCS#11 calls in a bare loop; see bench.h.
// Rounds alternate and the best of each counts, since other load only ever takes away.

#include "bench.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

namespace keystead::test {
namespace {

constexpr int kRounds = 7;
constexpr int kOperations = 20000;

double PerSecond(const std::function<void()>& operation) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kOperations; ++i) operation();
  return kOperations /
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Buffers {
  std::array<std::uint8_t, 32> plaintext{};
  std::array<std::uint8_t, 64> aad{};
  std::array<std::uint8_t, 60> sealed{};
  std::array<std::uint8_t, 92> dataKey{};
};

void BareEncrypt(const CK_FUNCTION_LIST& pkcs11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key,
                 Buffers& b) {
  Check(pkcs11.C_GenerateRandom(session, b.sealed.data(), 12), "C_GenerateRandom");
  CK_GCM_PARAMS gcm{b.sealed.data(), 12, 96, b.aad.data(), b.aad.size(), 128};
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  Check(pkcs11.C_EncryptInit(session, &mechanism, key), "C_EncryptInit");
  CK_ULONG length = 48;
  Check(pkcs11.C_Encrypt(session, b.plaintext.data(), 32, b.sealed.data() + 12, &length),
        "C_Encrypt");
}

}  // namespace

void Bench(Hsm& hsm) {
  const std::string id(64, 'b');
  const KeyName name{id, "arn:aws:kms:eu-central-1:111122223333:key/bench"};
  hsm.MakeKey(name);
  Token token(hsm.functions(), hsm.slot());
  token.Index();
  Buffers b;
  token.Encrypt(name, b.aad, b.plaintext, b.sealed);
  const CK_OBJECT_HANDLE copy = hsm.Copies(name).at(0);
  Session session(hsm.functions(), hsm.slot());
  double bare = 0, encrypt = 0, decrypt = 0, dataKey = 0;
  for (int round = 0; round < kRounds; ++round) {
    bare = std::max(bare, PerSecond([&] {
      BareEncrypt(hsm.functions(), session.handle(), copy, b);
    }));
    encrypt = std::max(encrypt, PerSecond([&] {
      token.Encrypt(name, b.aad, b.plaintext, b.sealed);
    }));
    decrypt = std::max(decrypt, PerSecond([&] {
      token.Decrypt(name, b.aad, b.sealed, b.plaintext);
    }));
    dataKey = std::max(dataKey, PerSecond([&] {
      token.GenerateDataKey(name, b.aad, 32, b.dataKey);
    }));
  }
  std::printf("bare encrypt     %8.0f ops/s\n", bare);
  std::printf("Encrypt          %8.0f ops/s  %.2f of bare\n", encrypt, encrypt / bare);
  std::printf("Decrypt          %8.0f ops/s\n", decrypt);
  std::printf("GenerateDataKey  %8.0f ops/s\n", dataKey);
}

}  // namespace keystead::test
