/** The BaldrApiService table: every operation of the AWS CloudHSM V2 API, by AWS's name. */
import type { Service } from "../core/operation.ts";
import { backupOperations } from "./backups.ts";
import { clusterOperations } from "./cluster-operations.ts";
import type { CloudHsmContext } from "./context.ts";
import { hsmOperations } from "./hsms.ts";
import { initializeOperations } from "./initialize.ts";
import { resourcePolicyOperations } from "./resource-policies.ts";
import { tagOperations } from "./tags.ts";

export const baldrApiService: Service<CloudHsmContext> = {
  ...clusterOperations,
  ...hsmOperations,
  ...initializeOperations,
  ...tagOperations,
  ...backupOperations,
  ...resourcePolicyOperations,
};
