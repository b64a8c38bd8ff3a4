/**
 * Every operation of AWS KMS beyond key stores, keys and cryptography: those that custom
 * key stores never support, and those that keystead does not have yet. All of them answer
 * something true; each topic has its own file, to be filled in there.
 */
import type { Service } from "../core/operation.ts";
import { aliases } from "./aliases.ts";
import { asymmetric } from "./asymmetric.ts";
import { grants } from "./grants.ts";
import { importedMaterial } from "./imported-material.ts";
import { multiRegion } from "./multi-region.ts";
import { policies } from "./policies.ts";
import { rotation } from "./rotation.ts";
import type { KmsContext } from "./service.ts";
import { tags } from "./tags.ts";

export const refused: Service<KmsContext> = {
  ...aliases,
  ...asymmetric,
  ...grants,
  ...importedMaterial,
  ...multiRegion,
  ...policies,
  ...rotation,
  ...tags,
};
