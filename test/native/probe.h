// A PKCS#11 function table that forwards to a real module, counts, and fails on request.
//
// For: asserting what was asked of the token, and errors that a healthy SoftHSM never gives.
// Leaves out: the functions that Token does not call; they go straight through.

#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cryptoki.h"

namespace keystead::test {

// One at a time: the table consists of plain C functions, which find the probe by a static.
class Probe {
 public:
  explicit Probe(const CK_FUNCTION_LIST& real);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  const CK_FUNCTION_LIST& functions() const { return table_; }
  const CK_FUNCTION_LIST& real() const { return real_; }

  // The next call of that function answers rv and does not reach the token.
  void FailNext(const std::string& function, CK_RV rv) { faults_[function] = rv; }
  std::size_t Calls(const std::string& function) { return calls_[function]; }
  // Sizes asked of C_GenerateRandom, in order.
  std::vector<CK_ULONG>& randomSizes() { return randomSizes_; }

  // Runs instead of the real function when set.
  std::function<CK_RV(CK_SESSION_HANDLE, const CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*)> onEncrypt;
  std::function<CK_RV(CK_SESSION_HANDLE, const CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*)> onDecrypt;

  // For the table's functions: counts the call and takes the fault set for it, if any.
  CK_RV Enter(const char* function);

 private:
  const CK_FUNCTION_LIST& real_;
  CK_FUNCTION_LIST table_;
  std::map<std::string, CK_RV> faults_;
  std::map<std::string, std::size_t> calls_;
  std::vector<CK_ULONG> randomSizes_;
};

}  // namespace keystead::test
