import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { PHASES, type Phase } from "../core/admission/review.ts";
import { isConflict } from "../k8s/apply.ts";
import type { Secrets } from "../k8s/secrets.ts";
import type { AdmissionPaths } from "../k8s/webhook-configurations.ts";

/** The Secret with the unguessable part of the admission paths, shared by all replicas. */
const PATH_SECRET = "fairlead-path";
/** 128 bits: nobody guesses it (docs/architecture.md). */
const PATH_SECRET_BYTES = 16;

/** While another replica leads and has not made it yet. */
const PATH_WAIT_MS = 200;

/**
 * Reads the shared secret; the leader makes it, also in a Secret that was created empty. Undefined when `signal` ends
 * the wait for another leader to make it.
 */
export async function sharedPathSecret(
  secrets: Secrets,
  mayWrite: () => boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  const existing = await secrets.read(PATH_SECRET);
  if (existing?.data["path"]) return existing.data["path"];
  if (signal.aborted) return undefined;
  if (!mayWrite()) {
    await sleep(PATH_WAIT_MS);
    return sharedPathSecret(secrets, mayWrite, signal);
  }
  const path = randomBytes(PATH_SECRET_BYTES).toString("hex");
  try {
    const { labels = {}, data = {} } = existing ?? {};
    await secrets.write(PATH_SECRET, { labels, data: { ...data, path } }, existing);
    return path;
  } catch (error) {
    if (isConflict(error)) return sharedPathSecret(secrets, mayWrite, signal);
    throw error;
  }
}

export function admissionPaths(secret: string): AdmissionPaths {
  return Object.fromEntries(PHASES.map((door) => [door, `/${door}/${secret}`])) as Record<Phase, string>;
}
