/** `explain CODE`: the repair procedure of a ConnectionErrorCode; works without a server. */
import type { Command } from "commander";
import { Refusal } from "../core/errors.ts";
import { show } from "./output.ts";
import { CODES, repairOf } from "./repairs.ts";
import { sessionOf } from "./session.ts";

export function explainCommand(program: Command): void {
  program
    .command("explain")
    .description("tell the cause and the repair of a ConnectionErrorCode")
    .argument("[code]", "for example INVALID_CREDENTIALS; all codes when left out")
    .action((code: string | undefined, _options: object, command: Command) => {
      const { format } = sessionOf(command);
      if (code === undefined)
        return show(format, { data: { codes: CODES }, text: CODES.join("\n"), ids: CODES });
      const repair = repairOf(code.toUpperCase());
      if (repair === undefined)
        throw new Refusal(`There is no ConnectionErrorCode "${code}"; the codes are ${CODES.join(", ")}.`, 2);
      const { text, ...data } = repair;
      show(format, { data, text, ids: [repair.code] });
    });
}
