/** The virtual clock, and how long the asynchronous lifecycles take. */
import { Router } from "express";
import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import { parseDuration } from "../core/duration.ts";
import { MODELS, type Model } from "../core/transitions.ts";
import { HttpRefusal, readBody } from "./errors.ts";
import type { ManageServices } from "./services.ts";
import type { ClockView } from "./wire.ts";

/** Seconds as a number, or a duration such as 8d or P8D. */
const advance = z.strictObject({ by: z.union([z.number().min(0), z.string()]) });
const progression = z.discriminatedUnion("progression", [
  z.strictObject({ progression: z.literal("immediate") }),
  z.strictObject({ progression: z.literal("time"), seconds: z.number().min(0) }),
  z.strictObject({ progression: z.literal("manual"), times: z.int().min(1) }),
]);

function view(clock: Clock): ClockView {
  const now = clock.now();
  return { now: new Date(now).toISOString(), frozen: clock.frozen, offsetMs: Math.round(now - Date.now()) };
}

function modelOf(name: string): Model {
  const model = MODELS.find((known) => known === name);
  if (model === undefined)
    throw new HttpRefusal(404, `There is no lifecycle "${name}"; the lifecycles are ${MODELS.join(", ")}.`);
  return model;
}

export function timeRoutes({ clock, transitions }: ManageServices): Router {
  return Router()
    .get("/clock", (_request, response) => {
      response.json(view(clock));
    })
    .post("/clock/advance", (request, response) => {
      const { by } = readBody(advance, request);
      clock.advance(typeof by === "number" ? by * 1000 : parseDuration(by));
      response.json(view(clock));
    })
    .post("/clock/freeze", (_request, response) => {
      clock.freeze();
      response.json(view(clock));
    })
    .post("/clock/reset", (_request, response) => {
      clock.reset();
      response.json(view(clock));
    })
    .get("/transitions", (_request, response) => {
      response.json(Object.fromEntries(MODELS.map((model) => [model, transitions.get(model)])));
    })
    .put("/transitions/:model", (request, response) => {
      const model = modelOf(request.params.model);
      transitions.set(model, readBody(progression, request));
      response.json({ [model]: transitions.get(model) });
    })
    .delete("/transitions/:model", (request, response) => {
      const model = modelOf(request.params.model);
      transitions.set(model, undefined);
      response.json({ [model]: transitions.get(model) });
    });
}
