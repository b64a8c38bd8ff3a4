/** The state machines of clusters, HSMs and backups as tables (reference: cloudhsm-v2 §3, §4, §6). */
import type { Machine } from "../core/machine.ts";
import { AwsError } from "../core/errors.ts";

export type ClusterState =
  | "CREATE_IN_PROGRESS"
  | "UNINITIALIZED"
  | "INITIALIZE_IN_PROGRESS"
  | "INITIALIZED"
  | "ACTIVE"
  | "UPDATE_IN_PROGRESS"
  | "MODIFY_IN_PROGRESS"
  | "ROLLBACK_IN_PROGRESS"
  | "DELETE_IN_PROGRESS"
  | "DELETED"
  | "DEGRADED";

/**
 * API calls, the operator's `activate`, and the reconciler's `created`, `initialized`, `deleted`;
 * `restored` of a cluster made from a backup, which was of a cluster not yet activated or of an active one.
 */
export type ClusterEvent =
  | "created"
  | "restored"
  | "restored unactivated"
  | "CreateHsm"
  | "DeleteHsm"
  | "InitializeCluster"
  | "initialized"
  | "cluster activate"
  | "ModifyCluster"
  | "DeleteCluster"
  | "deleted";

/**
 * Creating or deleting an HSM leaves an ACTIVE cluster ACTIVE: which state AWS shows
 * meanwhile is unconfirmed, and ACTIVE is safe for KMS. UPDATE, MODIFY and ROLLBACK states
 * are never entered: they belong to changes of the HSM type.
 */
export const CLUSTER: Machine<ClusterState, ClusterEvent> = {
  arrows: {
    CREATE_IN_PROGRESS: {
      created: "UNINITIALIZED",
      restored: "ACTIVE",
      "restored unactivated": "INITIALIZED",
    },
    UNINITIALIZED: {
      CreateHsm: "UNINITIALIZED",
      DeleteHsm: "UNINITIALIZED",
      InitializeCluster: "INITIALIZE_IN_PROGRESS",
      ModifyCluster: "UNINITIALIZED",
      DeleteCluster: "DELETE_IN_PROGRESS",
    },
    INITIALIZE_IN_PROGRESS: { initialized: "INITIALIZED" },
    INITIALIZED: {
      CreateHsm: "INITIALIZED",
      DeleteHsm: "INITIALIZED",
      "cluster activate": "ACTIVE",
      ModifyCluster: "INITIALIZED",
      DeleteCluster: "DELETE_IN_PROGRESS",
    },
    ACTIVE: {
      CreateHsm: "ACTIVE",
      DeleteHsm: "ACTIVE",
      ModifyCluster: "ACTIVE",
      DeleteCluster: "DELETE_IN_PROGRESS",
    },
    UPDATE_IN_PROGRESS: {},
    MODIFY_IN_PROGRESS: {},
    ROLLBACK_IN_PROGRESS: {},
    DELETE_IN_PROGRESS: { deleted: "DELETED" },
    DELETED: {},
    DEGRADED: { DeleteHsm: "DEGRADED", DeleteCluster: "DELETE_IN_PROGRESS" },
  },
  refuse: (state, event, subject) =>
    new AwsError(
      "CloudHsmInvalidRequestException",
      `The cluster ${subject} is in the state ${state}, in which ${event} is not possible.`,
    ),
};

export type HsmState = "CREATE_IN_PROGRESS" | "ACTIVE" | "DEGRADED" | "DELETE_IN_PROGRESS" | "DELETED";
export type HsmEvent = "created" | "failed" | "DeleteHsm" | "deleted";

export const HSM: Machine<HsmState, HsmEvent> = {
  arrows: {
    CREATE_IN_PROGRESS: { created: "ACTIVE", failed: "DEGRADED" },
    ACTIVE: { DeleteHsm: "DELETE_IN_PROGRESS" },
    DEGRADED: { DeleteHsm: "DELETE_IN_PROGRESS" },
    DELETE_IN_PROGRESS: { deleted: "DELETED" },
    DELETED: {},
  },
  refuse: (state, event, subject) =>
    new AwsError(
      "CloudHsmInvalidRequestException",
      `The HSM ${subject} is in the state ${state}, in which ${event} is not possible.`,
    ),
};

export type BackupState = "CREATE_IN_PROGRESS" | "READY" | "PENDING_DELETION" | "DELETED";
/** API calls, and the reconciler's `created`. The end of the waiting period removes the row, so nothing is ever DELETED. */
export type BackupEvent =
  | "created"
  | "DeleteBackup"
  | "RestoreBackup"
  | "ModifyBackupAttributes"
  | "CopyBackupToRegion"
  | "CreateCluster"
  | "PutResourcePolicy";

export const BACKUP: Machine<BackupState, BackupEvent> = {
  arrows: {
    CREATE_IN_PROGRESS: { created: "READY" },
    READY: {
      DeleteBackup: "PENDING_DELETION",
      ModifyBackupAttributes: "READY",
      CopyBackupToRegion: "READY",
      CreateCluster: "READY",
      PutResourcePolicy: "READY",
    },
    PENDING_DELETION: { RestoreBackup: "READY" },
    DELETED: {},
  },
  refuse: (state, event, subject) =>
    new AwsError(
      "CloudHsmInvalidRequestException",
      `The backup ${subject} is in the state ${state}, in which ${event} is not possible.`,
    ),
};
