// The data-key verbs on a PKCS#11 token; what the class is for stands in token.h.

#include "token.h"

#include <algorithm>

#include "memory.h"

namespace keystead {
namespace {

[[noreturn]] void Refuse(const char* verb, CK_RV rv = CKR_ARGUMENTS_BAD) {
  throw Pkcs11Error{rv, verb, ErrorKind::kBadArgument};
}

bool Fits(std::string_view text, std::size_t most) { return !text.empty() && text.size() <= most; }

// A null pointer makes C_Encrypt answer CKR_ARGUMENTS_BAD with the operation left active, so an
// empty input still needs an address.
const CK_BYTE* NonNull(Bytes bytes) {
  static constexpr CK_BYTE kNothing = 0;
  return bytes.data() == nullptr ? &kNothing : bytes.data();
}

CK_GCM_PARAMS GcmParameters(Bytes iv, Bytes aad) {
  return {NonNull(iv), iv.size(), iv.size() * 8, NonNull(aad), aad.size(), Token::kTagBytes * 8};
}

bool IsStaleHandle(const Pkcs11Error& error) {
  return error.kind == ErrorKind::kToken &&
         (error.rv == CKR_OBJECT_HANDLE_INVALID || error.rv == CKR_KEY_HANDLE_INVALID);
}

// SoftHSM 2.6 answers CKR_GENERAL_ERROR to a wrong tag, 2.7 CKR_ENCRYPTED_DATA_INVALID.
bool MayBeTagFailure(CK_RV rv) {
  return rv == CKR_GENERAL_ERROR || rv == CKR_ENCRYPTED_DATA_INVALID ||
         rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_DATA_INVALID;
}

// A length other than GCM's would leave bytes in the output that nobody wrote.
void CheckLength(CK_ULONG length, Output expected, const char* function) {
  Check(length == expected.size() ? CKR_OK : CKR_FUNCTION_FAILED, function);
}

}  // namespace

Token::Token(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot)
    : functions_(functions), sessions_(functions, slot), keys_(functions, sessions_) {}

Token::~Token() { Close(); }

void Token::Close() {
  if (!sessions_.open()) return;
  keys_.Clear();
  sessions_.Close();
}

void Token::Require(bool condition, const char* verb) const {
  if (!sessions_.open() || !condition) Refuse(verb);
}

void Token::RequireInput(KeyName name, Bytes aad, const char* verb) const {
  Require(Fits(name.id, KeyCache::kMaxIdBytes) && Fits(name.label, KeyCache::kMaxLabelBytes) &&
              aad.size() <= kMaxInputBytes,
          verb);
}

std::size_t Token::SealedBytes(std::size_t plaintextBytes) {
  if (plaintextBytes > kMaxInputBytes) Refuse("encrypt");
  return kIvBytes + plaintextBytes + kTagBytes;
}

std::size_t Token::OpenedBytes(std::size_t sealedBytes) {
  if (sealedBytes < SealedBytes(0) || sealedBytes > SealedBytes(kMaxInputBytes)) {
    Refuse("decrypt", CKR_ENCRYPTED_DATA_LEN_RANGE);
  }
  return sealedBytes - SealedBytes(0);
}

std::size_t Token::DataKeyBytes(std::size_t keyBytes) {
  if (keyBytes < 1 || keyBytes > kMaxDataKeyBytes) Refuse("generateDataKey");
  return keyBytes + SealedBytes(keyBytes);
}

std::size_t Token::RandomBytes(std::size_t bytes) {
  if (bytes < 1 || bytes > kMaxInputBytes) Refuse("random");
  return bytes;
}

std::size_t Token::Index() {
  Require(true, "index");
  return keys_.Index();
}

void Token::Forget(KeyName name) {
  RequireInput(name, {}, "forget");
  keys_.Forget(name);
}

void Token::Encrypt(KeyName name, Bytes aad, Bytes plaintext, Output sealed) {
  RequireInput(name, aad, "encrypt");
  Require(sealed.size() == SealedBytes(plaintext.size()), "encrypt");
  FillRandom(sealed.first(kIvBytes));
  WithKey(name, [&](CK_OBJECT_HANDLE key) { Seal(key, aad, plaintext, sealed); });
}

void Token::Decrypt(KeyName name, Bytes aad, Bytes sealed, Output plaintext) {
  RequireInput(name, aad, "decrypt");
  Require(plaintext.size() == OpenedBytes(sealed.size()), "decrypt");
  WithKey(name, [&](CK_OBJECT_HANDLE key) { Open(key, aad, sealed, plaintext); });
}

// Key and IV come out of one C_GenerateRandom and already stand where the caller wants them.
void Token::GenerateDataKey(KeyName name, Bytes aad, std::size_t keyBytes, Output output) {
  RequireInput(name, aad, "generateDataKey");
  Require(output.size() == DataKeyBytes(keyBytes), "generateDataKey");
  Wipe onFailure(output);
  FillRandom(output.first(keyBytes + kIvBytes));
  WithKey(name, [&](CK_OBJECT_HANDLE key) {
    Seal(key, aad, output.first(keyBytes), output.subspan(keyBytes));
  });
  onFailure.Release();
}

void Token::Random(Output output) {
  Require(output.size() == RandomBytes(output.size()), "random");
  FillRandom(output);
}

// A stale handle (the copy, or the token object behind it, is gone) is looked up anew, once.
template <class Use>
void Token::WithKey(KeyName name, Use use) {
  try {
    return use(keys_.Copy(name));
  } catch (const Pkcs11Error& error) {
    if (!IsStaleHandle(error)) throw;
  }
  keys_.Forget(name);
  use(keys_.Copy(name));
}

void Token::FillRandom(Output output) {
  Lease lease(sessions_);
  Check(functions_.C_GenerateRandom(lease.session(), output.data(), output.size()),
        "C_GenerateRandom");
  lease.EndedCleanly();
}

// `sealed` begins with the IV; ciphertext and tag are written behind it.
void Token::Seal(CK_OBJECT_HANDLE key, Bytes aad, Bytes plaintext, Output sealed) {
  const Output body = sealed.subspan(kIvBytes);
  CK_GCM_PARAMS gcm = GcmParameters(sealed.first(kIvBytes), aad);
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  Lease lease(sessions_);
  const CK_SESSION_HANDLE session = lease.session();
  Check(functions_.C_EncryptInit(session, &mechanism, key), "C_EncryptInit");
  CK_ULONG length = body.size();
  Check(functions_.C_Encrypt(session, NonNull(plaintext), plaintext.size(), body.data(), &length),
        "C_Encrypt");
  CheckLength(length, body, "C_Encrypt");
  lease.EndedCleanly();
}

// C_Decrypt demands room for its whole input, tag included, and answers a smaller buffer with
// CKR_BUFFER_TOO_SMALL and an operation left active; hence the scratch buffer.
void Token::Open(CK_OBJECT_HANDLE key, Bytes aad, Bytes sealed, Output plaintext) {
  const Bytes body = sealed.subspan(kIvBytes);
  if (scratch_.size() < body.size()) scratch_.resize(body.size());
  const Output opened = Output(scratch_).first(body.size());
  const Wipe always(opened);
  CK_GCM_PARAMS gcm = GcmParameters(sealed.first(kIvBytes), aad);
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  Lease lease(sessions_);
  const CK_SESSION_HANDLE session = lease.session();
  Check(functions_.C_DecryptInit(session, &mechanism, key), "C_DecryptInit");
  CK_ULONG length = opened.size();
  const CK_RV rv =
      functions_.C_Decrypt(session, body.data(), body.size(), opened.data(), &length);
  if (MayBeTagFailure(rv) && sessions_.LoggedIn(session)) {
    lease.EndedCleanly();  // a refused tag ends the operation; the session is as good as before
    throw Pkcs11Error{rv, "C_Decrypt", ErrorKind::kTagFailure};
  }
  Check(rv, "C_Decrypt");
  CheckLength(length, plaintext, "C_Decrypt");
  lease.EndedCleanly();
  std::copy_n(opened.begin(), plaintext.size(), plaintext.begin());
}

}  // namespace keystead
