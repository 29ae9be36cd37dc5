import { get } from "node:https";
import { type Supervised, spawnSupervised } from "./process.ts";
import { waitFor } from "./wait.ts";

const BIND_ATTEMPTS = 5;
/** Ten times what a start takes on two busy cores. */
const READY_LIMIT_MS = 40_000;
/** Seen once in some twenty restarts under load: kube-apiserver answers writes, and /readyz never turns to 200. */
const START_ATTEMPTS = 2;

export interface Launch {
  readonly name: string;
  readonly logPath: string;
  /** The whole environment of the program; that of this process unless told. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called again, so that it can pick other ports, when another process took one of them first. */
  command(): Promise<readonly string[]>;
  isReady(): Promise<boolean>;
}

/** Starts a component and waits until it is ready; a lost race for a port is run again. */
export async function launch(component: Launch): Promise<Supervised> {
  for (let attempt = 1; ; attempt++) {
    const { logPath, env } = component;
    const child = spawnSupervised(await component.command(), { logPath, ...(env === undefined ? {} : { env }) });
    try {
      await waitUntilReady(component, child);
      return child;
    } catch (error) {
      await child.stop();
      const lostRace = /address already in use/.test(child.logTail());
      const attempts = lostRace ? BIND_ATTEMPTS : error instanceof NotReadyError ? START_ATTEMPTS : 1;
      if (attempt >= attempts) throw error;
    }
  }
}

/** The program runs and does not become ready. */
class NotReadyError extends Error {}

async function waitUntilReady(component: Launch, child: Supervised): Promise<void> {
  const condition = async (): Promise<boolean> => {
    const outcome = child.outcome();
    if (outcome === undefined) return component.isReady();
    throw new Error(`Cannot start ${component.name}: it ended with ${outcome}\n${child.logTail()}`);
  };
  try {
    await waitFor(`${component.name} to be ready`, condition, { timeoutMs: READY_LIMIT_MS });
  } catch (error) {
    if (child.outcome() !== undefined) throw error;
    throw new NotReadyError(`Cannot start ${component.name}: it is not ready\n${child.logTail()}`, { cause: error });
  }
}

export interface ProbeOptions {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** Says whether the URL answers 200; any error is "not yet". */
export function answersOk(url: string, options: ProbeOptions): Promise<boolean> {
  const { caPem: ca, certPem: cert, keyPem: key } = options;
  return new Promise((resolve) => {
    const request = get(url, { ca, cert, key, agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      response.once("close", () => resolve(response.statusCode === 200));
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
  });
}
