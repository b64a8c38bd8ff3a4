/** SoftHSM's configuration file of one cluster: a token directory of its own. */

/** Mechanisms of the tokens; each operation of SoftHSM copies this list, so it is short (design/softhsm.md §0.8). */
const MECHANISMS = "CKM_AES_KEY_GEN,CKM_AES_GCM";

export function configuration(tokenDirectory: string): string {
  return [
    `directories.tokendir = ${tokenDirectory}`,
    "objectstore.backend = file",
    "log.level = ERROR",
    "slots.removable = false",
    `slots.mechanisms = ${MECHANISMS}`,
    "",
  ].join("\n");
}
