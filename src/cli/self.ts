/** How this command was called, so that the commands we print can be pasted as they are. */

/** npm sets npm_command=exec for what npx runs, which in a checkout is the only name the command has. */
export const SELF = process.env["npm_command"] === "exec" ? "npx keystead" : "keystead";
