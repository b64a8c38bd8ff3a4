/** The TrentService: every operation of the AWS KMS API, by the name AWS gives it. */
import type { Service } from "../core/operation.ts";
import { aliases } from "./aliases.ts";
import { cryptography } from "./cryptography.ts";
import { grants } from "./grants.ts";
import { keyMetadata } from "./key-metadata.ts";
import { keyStores } from "./key-store.ts";
import { keys } from "./keys.ts";
import { policies } from "./policies.ts";
import { refused } from "./refused.ts";
import type { KmsContext } from "./service.ts";
import { tags } from "./tags.ts";

export const trentService: Service<KmsContext> = {
  ...keyStores,
  ...keys,
  ...keyMetadata,
  ...aliases,
  ...tags,
  ...policies,
  ...grants,
  ...cryptography,
  ...refused,
};
