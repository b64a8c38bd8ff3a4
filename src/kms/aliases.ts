/** Aliases: not built yet, so no alias exists and the list of them is empty. */
import type { Service } from "../core/operation.ts";
import { optional, string } from "../core/shape.ts";
import { findKey, onAccount, type KmsContext } from "./service.ts";
import { keyId, limit, marker } from "./shapes.ts";
import { pageOf } from "./short-list.ts";
import { later } from "./unsupported.ts";

const aliasName = string({ min: 1, max: 256, pattern: "^[a-zA-Z0-9:/_-]+$" });

export const aliases: Service<KmsContext> = {
  CreateAlias: later("CreateAlias", { AliasName: aliasName, TargetKeyId: keyId }, "none"),
  UpdateAlias: later("UpdateAlias", { AliasName: aliasName, TargetKeyId: keyId }, "none"),
  DeleteAlias: later("DeleteAlias", { AliasName: aliasName }, "none"),
  ListAliases: onAccount(
    { coverage: { kind: "partial", note: "always empty: aliases are not built yet" } },
    { KeyId: optional(keyId), Limit: optional(limit), Marker: optional(marker) },
    async (input, { kms }) => {
      if (input.KeyId !== undefined) findKey(kms, input.KeyId, "key-id-or-arn");
      return { Aliases: [], ...pageOf("ListAliases", [], input, 50).paging };
    },
  ),
};
