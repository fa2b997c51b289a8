import { Agent, setGlobalDispatcher } from 'undici';

const TEN_MINUTES = 10 * 60 * 1000;
setGlobalDispatcher(new Agent({ bodyTimeout: TEN_MINUTES, headersTimeout: TEN_MINUTES, connect: { timeout: 30_000 } }));

const { app } = await import('./app.ts');
(await app()).listen(Number(process.env.PORT ?? 8082), '127.0.0.1');
