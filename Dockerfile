# TypeScript's compiler is an optional dependency of its package, so nothing is left out here.
FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

# Without optional ones: they are Node itself, which the last stage has.
FROM node:24-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --omit=dev --omit=optional

# No shell, no package manager, user 65532.
FROM gcr.io/distroless/nodejs24-debian13:nonroot
WORKDIR /app
ENV NODE_ENV=production
COPY --from=dependencies /app/package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
# A small young generation: docs/adr/0024-young-generation.md
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=4", "/app/dist/cli.js"]
CMD ["--help"]
