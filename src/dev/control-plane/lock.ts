import { mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { waitFor } from "./wait.ts";

const HEARTBEAT_MS = 5_000;
const STALE_MS = 30_000;
const POLL_MS = 250;
const PATIENCE_MS = 40 * 60_000;

/**
 * Runs the work while no other process runs work under the same lock. The lock is a directory (mkdir is atomic)
 * whose modification time the holder renews, so the lock of a killed process is taken over. Should two processes
 * take over in the same instant, both work: what they build is moved into place atomically, so only time is lost.
 */
export async function withLock<T>(path: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  let told = false;
  const acquire = async (): Promise<boolean> => {
    if (await tryAcquire(path)) return true;
    if (!told) onWait();
    told = true;
    return false;
  };
  await waitFor(`the lock "${path}"`, acquire, { timeoutMs: PATIENCE_MS, intervalMs: POLL_MS });
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    await rm(path, { recursive: true, force: true });
  }
}

async function tryAcquire(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const held = await stat(path).catch(() => undefined);
  if (held === undefined || Date.now() - held.mtimeMs < STALE_MS) return false;
  const abandoned = `${path}.${process.pid}`;
  await rename(path, abandoned).catch(() => {});
  await rm(abandoned, { recursive: true, force: true });
  return false;
}
