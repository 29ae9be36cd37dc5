import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Below the ephemeral ports of Linux (32768) and macOS (49152): otherwise an outgoing connection could take the
 * port of an API server while it restarts.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 29_999;
const ATTEMPTS = 100;

/** Picks a port of 127.0.0.1 that nothing listens on now; whoever binds it must still expect to lose a race. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (await canListen(port)) return port;
  }
  throw new Error(`Cannot find a free port: ${ATTEMPTS} between ${FIRST_PORT} and ${LAST_PORT} were taken`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
