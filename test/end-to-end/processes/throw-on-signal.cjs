// Loaded before the gateway: SIGWINCH is an exception in a callback, SIGURG a rejection that nobody handles, with a secret each.
const failure = () => Object.assign(new Error('nobody expected this'), { parameters: [process.env.FAILURE_SECRET] });
process.on('SIGWINCH', () => {
  throw failure();
});
process.on('SIGURG', () => void Promise.reject(failure()));
