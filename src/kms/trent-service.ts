/** The TrentService: every operation of the AWS KMS API, by the name AWS gives it. */
import type { Service } from "../core/operation.ts";
import { cryptography } from "./cryptography.ts";
import { keyStores } from "./key-store.ts";
import { keys } from "./keys.ts";
import { refused } from "./refused.ts";
import type { KmsContext } from "./service.ts";

export const trentService: Service<KmsContext> = { ...keyStores, ...keys, ...cryptography, ...refused };
