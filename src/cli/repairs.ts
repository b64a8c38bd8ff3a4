/**
 * The ten ConnectionErrorCodes of AWS CloudHSM key stores: what is wrong and how to repair
 * it, in commands that work here (AWS KMS Developer Guide, *Fixing a custom key store*;
 * API reference, ConnectionErrorCode). Every repair starts with a disconnect, because only
 * that leaves FAILED, and ends with a connect.
 */

import { SELF } from "./self.ts";

interface Repair {
  readonly cause: string;
  /** Commands and remarks between disconnect and connect. */
  readonly steps: readonly string[];
}

const STORE = "$CKS";
const CLUSTER = "$CLUSTER";
const LOGIN = `${SELF} hsm --cluster-id ${CLUSTER} login --username admin --role admin`;
const LOGOUT = `${SELF} hsm --cluster-id ${CLUSTER} logout`;
const CHANGE = `${SELF} hsm --cluster-id ${CLUSTER} user change-password --username kmsuser --role crypto-user`;
const TELL = `aws kms update-custom-key-store --custom-key-store-id ${STORE} --key-store-password <that password>`;
/** Makes a related cluster: one with the same certificate, keys and users. */
const RESTORE = [
  `${SELF} backup list --cluster-id ${CLUSTER}   # the newest first, also of a deleted cluster`,
  `${SELF} cluster restore <backup id>`,
] as const;
const AS_OF_BACKUP =
  "# kmsuser has its password as of the backup. Has a connect changed it since, the result is INVALID_CREDENTIALS.";
const USE_CLUSTER = `aws kms update-custom-key-store --custom-key-store-id ${STORE} --cloud-hsm-cluster-id <a cluster with the same certificate>`;

const REPAIRS: ReadonlyMap<string, Repair> = new Map<string, Repair>([
  [
    "CLUSTER_NOT_FOUND",
    {
      cause: "The cluster of the key store does not exist: the id is wrong, or the cluster was deleted.",
      steps: [
        "aws cloudhsmv2 describe-clusters        # is the id in it?",
        "# If not: the removal of its last HSM has left a backup. Make a cluster of that.",
        ...RESTORE,
        USE_CLUSTER,
        AS_OF_BACKUP,
      ],
    },
  ],
  [
    "INSUFFICIENT_CLOUDHSM_HSMS",
    {
      cause: "The cluster has no ACTIVE HSM.",
      steps: [
        `aws cloudhsmv2 create-hsm --cluster-id ${CLUSTER} --availability-zone us-east-1a`,
        `aws cloudhsmv2 create-hsm --cluster-id ${CLUSTER} --availability-zone us-east-1b   # creating keys needs two`,
        `${SELF} cluster wait ${CLUSTER} --for ACTIVE --hsms 2`,
      ],
    },
  ],
  [
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
    {
      cause: "A private subnet of the cluster has no free IP address; KMS needs one in each.",
      steps: [
        `${SELF} subnet list`,
        `${SELF} subnet fill <a full one> --free 2`,
        "# Or restore the cluster from a backup into larger subnets, as for SUBNET_NOT_FOUND.",
      ],
    },
  ],
  [
    "INTERNAL_ERROR",
    {
      cause:
        "The token cannot be used: its file and the server's side copy of it are unreadable, or a key file is damaged.",
      steps: [
        "# The server's log names the files. Put them back from a copy of the data directory; nothing",
        "# re-initialises a token, because that would destroy its keys. Without such damage: try again.",
      ],
    },
  ],
  [
    "INVALID_CREDENTIALS",
    {
      cause: "The password KMS has for kmsuser is not kmsuser's password in the cluster.",
      steps: [LOGIN, CHANGE, LOGOUT, TELL, "# If the password is known, telling KMS alone is enough."],
    },
  ],
  [
    "NETWORK_ERRORS",
    {
      cause:
        "The HSMs are ACTIVE but cannot be reached: the token's directory is missing, or the HSM worker does not start.",
      steps: [
        `${SELF} doctor`,
        "# Put the cluster's token directory back if it was moved; otherwise wait a moment and try again.",
      ],
    },
  ],
  [
    "SUBNET_NOT_FOUND",
    {
      cause: "A subnet in the cluster's configuration was deleted.",
      steps: [
        "# A deleted subnet cannot come back under its id, so the cluster has to move to other subnets.",
        `aws cloudhsmv2 delete-hsm --cluster-id ${CLUSTER} --hsm-id <one of its HSMs>   # makes a backup`,
        ...RESTORE,
        USE_CLUSTER,
        AS_OF_BACKUP,
      ],
    },
  ],
  [
    "USER_LOCKED_OUT",
    {
      cause:
        "kmsuser is locked after five wrong passwords. Its password must be changed, even when it is known.",
      steps: [LOGIN, CHANGE, LOGOUT, TELL],
    },
  ],
  [
    "USER_LOGGED_IN",
    {
      cause: "kmsuser is logged in to the cluster from somewhere else.",
      steps: [
        `${SELF} hsm --cluster-id ${CLUSTER} session list`,
        LOGOUT,
        `${SELF} hsm --cluster-id ${CLUSTER} session close --session-id <session id>   # somebody else's session`,
        `# Only if the password was changed meanwhile: ${TELL}`,
      ],
    },
  ],
  [
    "USER_NOT_FOUND",
    {
      cause: "The cluster has no crypto user kmsuser.",
      steps: [
        LOGIN,
        `${SELF} hsm --cluster-id ${CLUSTER} user create --username kmsuser --role crypto-user`,
        LOGOUT,
        TELL,
      ],
    },
  ],
]);

export const CODES: readonly string[] = [...REPAIRS.keys()];

/** What `explain` prints, and its parts for `--json`; undefined for an unknown code. */
export function repairOf(code: string):
  | {
      readonly code: string;
      readonly cause: string;
      readonly commands: readonly string[];
      readonly text: string;
    }
  | undefined {
  const repair = REPAIRS.get(code);
  if (repair === undefined) return undefined;
  const commands = [`${SELF} disconnect ${STORE}`, ...repair.steps, `${SELF} connect ${STORE}`];
  const text = [`${code}: ${repair.cause}`, "", ...commands.map((command) => `    ${command}`), ""].join(
    "\n",
  );
  return { code, cause: repair.cause, commands, text };
}
