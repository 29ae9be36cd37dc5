import type { Logger } from "pino";
import type { ServeConfig } from "./config.ts";
import { startAdmissionRole } from "./roles/admission.ts";
import { startFairlead } from "./roles/both.ts";
import { startControllerRole } from "./roles/controller.ts";

export { type Fairlead, startFairlead } from "./roles/both.ts";

/** A running process of any role. */
export interface Running {
  /** Drains and stops; final. */
  stop(): Promise<void>;
}

/** Composition root of the server: starts the half of Fairlead that the process is to be, or both. */
export function startRole(config: ServeConfig, log: Logger): Promise<Running> {
  switch (config.role) {
    case "all":
      return startFairlead(config, log);
    case "admission":
      return startAdmissionRole(config, log);
    case "controller":
      return startControllerRole(config, log);
    default:
      return unreachable(config.role);
  }
}

function unreachable(role: never): never {
  throw new Error(`Cannot start the unknown role ${String(role)}`);
}
