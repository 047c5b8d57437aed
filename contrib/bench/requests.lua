-- wrk: requests of the file $REQUESTS, METHOD\tPATH\tTOKEN\tBODY a line, at
-- random. They are put together before the run, so the generator stays cheap.
local ready, n, threads = {}, 0, 0

function setup(thread)
	threads = threads + 1
	thread:set("seed", threads)
end

function init()
	math.randomseed(seed * 7717 + os.time())
	for line in io.lines(os.getenv("REQUESTS")) do
		local method, path, token, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
		local headers = {}
		if token ~= "-" then headers["Authorization"] = "Bearer " .. token end
		if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
		n = n + 1
		ready[n] = wrk.format(method, path, headers, body)
	end
end

local random = math.random
function request() return ready[random(n)] end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
		e.status + e.connect + e.read + e.write + e.timeout, summary.bytes,
		latency:percentile(50), latency:percentile(99), latency.max))
end
