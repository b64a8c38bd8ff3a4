/**
 * State machines as tables (architecture, *State machines are tables*): a cell names the
 * state an event leads to, and a missing cell is the documented exception. One function
 * follows the arrows.
 */
import type { AwsError } from "./errors.ts";

export interface Machine<State extends string, Event extends string> {
  /** `arrows[state][event]` is the next state; absent means the event is refused in that state. */
  readonly arrows: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>>;
  /** The exception of a missing cell. */
  readonly refuse: (state: State, event: Event, subject: string) => AwsError;
}

/** The state that `event` leads to. @throws the machine's documented exception for a missing cell */
export function follow<State extends string, Event extends string>(
  machine: Machine<State, Event>,
  state: State,
  event: Event,
  subject: string,
): State {
  const next = machine.arrows[state][event];
  if (next === undefined) throw machine.refuse(state, event, subject);
  return next;
}
