// What Token costs on top of the bare PKCS#11 calls: operations per second of both.

#pragma once

#include "hsm.h"

namespace keystead::test {

void Bench(Hsm& hsm);

}  // namespace keystead::test
