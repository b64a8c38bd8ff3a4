/**
 * The management API, on the AWS endpoint's own port under `/_keystead/`: health, metrics,
 * and everything a tester or operator may do that is no AWS operation. Express stands
 * here and never in front of an AWS request (architecture, *Hot path*).
 */
import express, { type Express, type RequestHandler } from "express";
import { errorHandler, HttpRefusal } from "./errors.ts";
import { refuseForeignOrigin, requireToken } from "./guard.ts";
import { clusterRoutes } from "./routes-clusters.ts";
import { networkRoutes } from "./routes-network.ts";
import { healthRoutes, serverRoutes } from "./routes-server.ts";
import { storeRoutes } from "./routes-stores.ts";
import { timeRoutes } from "./routes-time.ts";
import type { ManageServices } from "./services.ts";

const LARGEST_BODY = 64 * 1024;

/** Answers of this API are states that change; nothing may keep them. */
const headers: RequestHandler = (_request, response, next) => {
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("X-Content-Type-Options", "nosniff");
  next();
};

export function createManagement(services: ManageServices): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(headers, refuseForeignOrigin());
  app.use(healthRoutes(services));
  app.use("/_keystead", requireToken(services.managementToken), express.json({ limit: LARGEST_BODY }));
  app.use("/_keystead", serverRoutes(services), storeRoutes(services), clusterRoutes(services));
  app.use("/_keystead", networkRoutes(services), timeRoutes(services));
  app.use((request) => {
    throw new HttpRefusal(
      404,
      `There is no ${request.method} ${request.path}; the README lists what there is.`,
    );
  });
  app.use(errorHandler(services.log));
  return app;
}
