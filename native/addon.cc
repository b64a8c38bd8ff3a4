// keystead.node: the JavaScript face of Token, and the only file that knows N-API.
//
// For: checking argument types, handing out result Buffers, and turning errors into JavaScript
// Errors with `rv`, `function` and `kind`. Messages are the function's name and the number.
// Leaves out: every decision about keys, sessions and lengths (token.h). No state beyond the
// wrapped objects, so several environments may load it.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include <napi.h>

#include "cryptoki.h"
#include "memory.h"
#include "token.h"

namespace {

using keystead::Bytes;
using keystead::ErrorKind;
using keystead::KeyName;
using keystead::Pkcs11Error;
using Result = Napi::Buffer<std::uint8_t>;

constexpr double kMaxSafeInteger = 9007199254740991.0;

const char* NameOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kToken: return "token";
    case ErrorKind::kTagFailure: return "tag";
    case ErrorKind::kKeyMissing: return "missing";
    case ErrorKind::kKeyAmbiguous: return "ambiguous";
    case ErrorKind::kBadArgument: return "argument";
  }
  return "token";
}

Napi::Error ToJavaScript(Napi::Env env, const Pkcs11Error& error) {
  char message[80];
  std::snprintf(message, sizeof message, "%s: 0x%08lx", error.function, error.rv);
  Napi::Error thrown = Napi::Error::New(env, message);
  thrown.Set("rv", Napi::Number::New(env, static_cast<double>(error.rv)));
  thrown.Set("function", Napi::String::New(env, error.function));
  thrown.Set("kind", Napi::String::New(env, NameOf(error.kind)));
  return thrown;
}

// Under RLIMIT_AS an allocation may well fail. As a token error it gets the worker replaced.
template <class Verb>
auto Translated(Napi::Env env, Verb verb) {
  try {
    return verb();
  } catch (const Pkcs11Error& error) {
    throw ToJavaScript(env, error);
  } catch (const std::bad_alloc&) {
    throw ToJavaScript(env, {keystead::CKR_HOST_MEMORY, "malloc", ErrorKind::kToken});
  }
}

[[noreturn]] void WrongType(const Napi::CallbackInfo& info, const char* name, const char* type) {
  throw Napi::TypeError::New(info.Env(), std::string(name) + " must be " + type);
}

// A view into a larger buffer is as good as any. The bytes stay where they are during the call,
// since no JavaScript runs in between.
Bytes BytesAt(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  napi_typedarray_type type;
  std::size_t length = 0;
  void* data = nullptr;
  const napi_status status = napi_get_typedarray_info(info.Env(), info[index], &type, &length,
                                                      &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) WrongType(info, name, "a Uint8Array");
  return {static_cast<const std::uint8_t*>(data), length};
}

std::uint64_t IntegerAt(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  double number = -1;
  const napi_status status = napi_get_value_double(info.Env(), info[index], &number);
  if (status != napi_ok || !(number >= 0 && number <= kMaxSafeInteger) ||
      number != std::floor(number)) {
    WrongType(info, name, "a non-negative integer");
  }
  return static_cast<std::uint64_t>(number);
}

std::string_view Text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Every verb that uses a key takes (id, label, …) first.
KeyName KeyNameOf(const Napi::CallbackInfo& info) {
  return {Text(BytesAt(info, 0, "id")), Text(BytesAt(info, 1, "label"))};
}

std::string PathOf(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) WrongType(info, "modulePath", "a string");
  return info[0].As<Napi::String>().Utf8Value();
}

// pkcs11js hands out a CK_SLOT_ID as its 8 bytes in memory.
keystead::CK_SLOT_ID SlotOf(const Napi::CallbackInfo& info) {
  const Bytes bytes = BytesAt(info, 1, "slotId");
  if (bytes.size() != 8) WrongType(info, "slotId", "a Uint8Array of 8 bytes");
  keystead::CK_SLOT_ID slot = 0;
  for (int i = 7; i >= 0; --i) slot = slot << 8 | bytes[static_cast<std::size_t>(i)];
  return slot;
}

class TokenObject : public Napi::ObjectWrap<TokenObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Token",
                       {InstanceMethod<&TokenObject::Index>("index"),
                        InstanceMethod<&TokenObject::Encrypt>("encrypt"),
                        InstanceMethod<&TokenObject::Decrypt>("decrypt"),
                        InstanceMethod<&TokenObject::GenerateDataKey>("generateDataKey"),
                        InstanceMethod<&TokenObject::Random>("random"),
                        InstanceMethod<&TokenObject::Forget>("forget"),
                        InstanceMethod<&TokenObject::Close>("close")});
  }

  explicit TokenObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const std::string path = PathOf(info);
    const keystead::CK_SLOT_ID slot = SlotOf(info);
    Translated(info.Env(), [&] {
      module_.emplace(path);
      token_.emplace(module_->functions(), slot);
    });
  }

 private:
  Napi::Value Index(const Napi::CallbackInfo& info) {
    return Translated(info.Env(), [&] {
      return Napi::Number::New(info.Env(), static_cast<double>(token_->Index()));
    });
  }

  Napi::Value Encrypt(const Napi::CallbackInfo& info) {
    const KeyName name = KeyNameOf(info);
    const Bytes aad = BytesAt(info, 2, "aad");
    const Bytes plaintext = BytesAt(info, 3, "plaintext");
    return Translated(info.Env(), [&] {
      Result sealed = Result::New(info.Env(), keystead::Token::SealedBytes(plaintext.size()));
      token_->Encrypt(name, aad, plaintext, {sealed.Data(), sealed.Length()});
      return sealed;
    });
  }

  Napi::Value Decrypt(const Napi::CallbackInfo& info) {
    const KeyName name = KeyNameOf(info);
    const Bytes aad = BytesAt(info, 2, "aad");
    const Bytes sealed = BytesAt(info, 3, "sealed");
    return Translated(info.Env(), [&] {
      Result plaintext = Result::New(info.Env(), keystead::Token::OpenedBytes(sealed.size()));
      token_->Decrypt(name, aad, sealed, {plaintext.Data(), plaintext.Length()});
      return plaintext;
    });
  }

  Napi::Value GenerateDataKey(const Napi::CallbackInfo& info) {
    const KeyName name = KeyNameOf(info);
    const Bytes aad = BytesAt(info, 2, "aad");
    const std::size_t bytes = IntegerAt(info, 3, "bytes");
    return Translated(info.Env(), [&] {
      Result output = Result::New(info.Env(), keystead::Token::DataKeyBytes(bytes));
      token_->GenerateDataKey(name, aad, bytes, {output.Data(), output.Length()});
      return output;
    });
  }

  Napi::Value Random(const Napi::CallbackInfo& info) {
    const std::size_t bytes = IntegerAt(info, 0, "bytes");
    return Translated(info.Env(), [&] {
      Result output = Result::New(info.Env(), keystead::Token::RandomBytes(bytes));
      token_->Random({output.Data(), output.Length()});
      return output;
    });
  }

  void Forget(const Napi::CallbackInfo& info) {
    const KeyName name = KeyNameOf(info);
    Translated(info.Env(), [&] { token_->Forget(name); });
  }

  void Close(const Napi::CallbackInfo&) { token_->Close(); }

  // In this order: the token uses the module's functions until it is gone.
  std::optional<keystead::Module> module_;
  std::optional<keystead::Token> token_;
};

void LimitMemory(const Napi::CallbackInfo& info) {
  const std::uint64_t bytes = IntegerAt(info, 0, "bytes");
  Translated(info.Env(), [&] { keystead::LimitMemory(bytes); });
}

Napi::Object Initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("limitMemory", Napi::Function::New<LimitMemory>(env, "limitMemory"));
  exports.Set("Token", TokenObject::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(keystead, Initialise)
