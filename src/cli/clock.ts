/** The virtual clock, the progressions of the lifecycles, and starting over. */
import { Option, type Command } from "commander";
import { parseDuration } from "../core/duration.ts";
import { Refusal } from "../core/errors.ts";
import type { ClockView } from "../manage/wire.ts";
import { show, type Format } from "./output.ts";
import { sessionOf } from "./session.ts";

export function clockCommands(program: Command): void {
  const clock = program
    .command("clock")
    .description("the virtual clock of every lifecycle (never of signatures)");
  clock
    .command("show")
    .description("print the virtual time")
    .action(async (_options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      showClock(format, await client.get<ClockView>("clock"));
    });
  clock
    .command("advance")
    .description("move virtual time forward")
    .argument("<duration>", "for example 8d, 90s or P8D")
    .action(async (by: string, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      showClock(format, await client.post<ClockView>("clock/advance", { by: parseDuration(by) / 1000 }));
    });
  const verbs = { freeze: "stop virtual time; advance still moves it", reset: "go back to the wall clock" };
  for (const [verb, description] of Object.entries(verbs))
    clock
      .command(verb)
      .description(description)
      .action(async (_options: object, command: Command) => {
        const { client, format } = sessionOf(command);
        showClock(format, await client.post<ClockView>(`clock/${verb}`));
      });
  transitionCommands(program);
  resetCommand(program);
}

function showClock(format: Format, clock: ClockView): void {
  const state = clock.frozen ? "  frozen" : "";
  const ahead = Math.round(clock.offsetMs / 1000);
  show(format, {
    data: clock,
    text: `${clock.now}${state}  ${ahead} s ahead of the wall clock`,
    ids: [clock.now],
  });
}

function transitionCommands(program: Command): void {
  const transitions = program
    .command("transitions")
    .description("how lifecycles go on: at once, after a time, or after so many describes");
  const answer = (format: Format, data: object): void =>
    show(format, {
      data,
      text: Object.entries(data)
        .map(([model, progression]) => `${model}  ${JSON.stringify(progression)}`)
        .join("\n"),
    });
  transitions
    .command("get")
    .description("print the progression of every lifecycle")
    .action(async (_options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      answer(format, await client.get<object>("transitions"));
    });
  transitions
    .command("set")
    .description("choose a progression: immediate, 2.5s, or 3 (describes)")
    .argument("<model>", "kms::custom-key-store, or cloudhsmv2::cluster, ::hsm or ::backup")
    .argument("<progression>", "immediate, a duration, or a number of describes")
    .action(async (model: string, progression: string, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      answer(
        format,
        await client.put<object>(`transitions/${encodeURIComponent(model)}`, parseProgression(progression)),
      );
    });
  transitions
    .command("unset")
    .description("return to the server's --timing preset")
    .argument("<model>", "the lifecycle")
    .action(async (model: string, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      answer(format, await client.delete<object>(`transitions/${encodeURIComponent(model)}`));
    });
}

/** A bare number counts describes, as moto's `times` does; durations have a unit. */
function parseProgression(text: string): object {
  if (text === "immediate") return { progression: "immediate" };
  if (!/^\d+$/.test(text)) return { progression: "time", seconds: parseDuration(text) / 1000 };
  if (text === "0") throw new Refusal('Write "immediate" for no describe at all.', 2);
  return { progression: "manual", times: Number(text) };
}

function resetCommand(program: Command): void {
  program
    .command("reset")
    .description("forget every cluster, key store and key, and start over")
    .addOption(new Option("--seed <seed>", "what to start with").choices(["demo", "empty"]))
    .action(async ({ seed }: { seed?: string }, command: Command) => {
      const { client, format } = sessionOf(command);
      const data = await client.post<{ seed: string }>(seed === undefined ? "reset" : `reset?seed=${seed}`);
      show(format, { data, text: `reset (${data.seed})` });
    });
}
