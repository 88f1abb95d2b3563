namespace Rpal.TestMember.Scenarios;

/// <summary>A service that is replaced by its next version while somebody calls it without a pause.</summary>
internal static class Versions
{
    private const string Service = "version";
    private const long Factor = 1000;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("serve-version", args => Serve(long.Parse(args[0])));
        scenarios.Add("call-versions", args => Call(long.Parse(args[0])));
    }

    /// <summary>Answers with what it was given and its version, until SIGTERM ends the process.</summary>
    private static int Serve(long version)
    {
        RpalService service = RpalService.Register(Service, new ServiceOptions { Receivers = 2 });
        service.Handle(1, (in long request, ref long answer) => answer = request * Factor + version);
        service.Enable();
        Console.WriteLine($"version {version}");
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    /// <summary>Calls until version <paramref name="last"/> answers; connects again when told to. Says each version once, and every status but Answered.</summary>
    private static int Call(long last)
    {
        RpalConnection connection = Calls.Connect(Service);
        HashSet<CallStatus> statuses = [];
        long said = 0;
        for (long request = 1; ; request++)
        {
            long answer = 0;
            CallStatus status = connection.Call(1, request, ref answer, Calls.Soon);
            if (status != CallStatus.Answered)
            {
                if (statuses.Add(status))
                {
                    Console.WriteLine($"{status}");
                }

                connection = status == CallStatus.Busy ? connection : Calls.Connect(Service);
                continue;
            }

            long version = answer - request * Factor;
            Check.That(version >= said && version <= last, $"request {request} was answered {answer}");
            if (version > said)
            {
                Console.WriteLine($"answered {version}");
                said = version;
            }

            if (version == last)
            {
                return 0;
            }
        }
    }
}
