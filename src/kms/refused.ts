/** The operations of AWS KMS that custom key stores never support; each topic has its own file. */
import type { Service } from "../core/operation.ts";
import { asymmetric } from "./asymmetric.ts";
import { importedMaterial } from "./imported-material.ts";
import { multiRegion } from "./multi-region.ts";
import { rotation } from "./rotation.ts";
import type { KmsContext } from "./service.ts";

export const refused: Service<KmsContext> = {
  ...asymmetric,
  ...importedMaterial,
  ...multiRegion,
  ...rotation,
};
