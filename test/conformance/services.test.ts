/** Every operation of both services against its API model (botocore 1.43.11). */
import { expect, test } from "vitest";
import { baldrApiService } from "../../src/cloudhsm/service.ts";
import { trentService } from "../../src/kms/trent-service.ts";
import { differingService, readModel } from "./compare.ts";

test("TrentService is the AWS KMS API", () => {
  expect(differingService(trentService, readModel("kms"))).toEqual([]);
});

test("BaldrApiService is the AWS CloudHSM V2 API", () => {
  expect(differingService(baldrApiService, readModel("cloudhsmv2"))).toEqual([]);
});
