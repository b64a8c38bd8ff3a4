/** The connection states of a custom key store as a table (reference: custom-key-stores §4). */
import { AwsError } from "../core/errors.ts";
import type { Machine } from "../core/machine.ts";

export type ConnectionState = "CONNECTED" | "CONNECTING" | "FAILED" | "DISCONNECTED" | "DISCONNECTING";

/** What an operation or the background workflow does to a store. */
export type ConnectionEvent =
  | "connect"
  | "disconnect"
  /** UpdateCustomKeyStore with NewCustomKeyStoreName only. */
  | "rename"
  /** UpdateCustomKeyStore with a password or a cluster. */
  | "reconfigure"
  | "delete"
  /** CreateKey, and GenerateRandom from the store's cluster. */
  | "use"
  | "connected"
  | "failed"
  | "disconnected";

/** ConnectionErrorCodeType, the ten values of AWS CloudHSM key stores (reference: custom-key-stores §7). */
export type ConnectionErrorCode =
  | "CLUSTER_NOT_FOUND"
  | "INSUFFICIENT_CLOUDHSM_HSMS"
  | "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"
  | "INTERNAL_ERROR"
  | "INVALID_CREDENTIALS"
  | "NETWORK_ERRORS"
  | "SUBNET_NOT_FOUND"
  | "USER_LOCKED_OUT"
  | "USER_LOGGED_IN"
  | "USER_NOT_FOUND";

const VERBS: Readonly<Record<ConnectionEvent, string>> = {
  connect: "be connected",
  disconnect: "be disconnected",
  rename: "be renamed",
  reconfigure: "be updated",
  delete: "be deleted",
  use: "be used",
  connected: "become connected",
  failed: "fail",
  disconnected: "become disconnected",
};

export const CONNECTION: Machine<ConnectionState, ConnectionEvent> = {
  arrows: {
    DISCONNECTED: {
      connect: "CONNECTING",
      rename: "DISCONNECTED",
      reconfigure: "DISCONNECTED",
      delete: "DISCONNECTED",
    },
    CONNECTING: {
      connect: "CONNECTING",
      disconnect: "DISCONNECTING",
      connected: "CONNECTED",
      failed: "FAILED",
    },
    CONNECTED: {
      connect: "CONNECTED",
      disconnect: "DISCONNECTING",
      rename: "CONNECTED",
      use: "CONNECTED",
    },
    DISCONNECTING: { disconnected: "DISCONNECTED" },
    FAILED: { disconnect: "DISCONNECTING" },
  },
  refuse: (state, event, keyStoreId) =>
    new AwsError(
      "CustomKeyStoreInvalidStateException",
      `The custom key store ${keyStoreId} is ${state} and cannot ${VERBS[event]} in this state.`,
    ),
};
