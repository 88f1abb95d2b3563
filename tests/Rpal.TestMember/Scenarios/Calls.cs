namespace Rpal.TestMember.Scenarios;

/// <summary>Short forms for callers.</summary>
internal static class Calls
{
    public static readonly Deadline Soon = Deadline.After(Check.Patience);

    public static RpalConnection Connect(string name)
    {
        using var limit = new CancellationTokenSource(Check.Patience);
        return RpalConnection.ConnectAsync(name, limit.Token).GetAwaiter().GetResult();
    }

    public static long Do(this RpalConnection connection, Deed deed, long argument = 0)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Do, new Order(deed, argument), ref answer, Soon));
        return answer;
    }

    public static CallStatus TryDo(this RpalConnection connection, Deed deed)
    {
        long answer = 0;
        return connection.Call(Methods.Do, new Order(deed, 0), ref answer, Soon);
    }

    public static long Add(this RpalConnection connection, long first, long second)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Add, new Numbers(first, second), ref answer, Soon));
        return answer;
    }

    public static void Stop(this RpalConnection connection) => Check.Equal(CallStatus.Answered, connection.Call(Methods.Stop, [], [], out _, Soon));

    public static void CheckChecksum(this RpalConnection connection, int seed)
    {
        Payload payload = default;
        new Random(seed).NextBytes(payload);
        ulong answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Checksum, in payload, ref answer, Soon));
        Check.Equal(StandardService.Hash(payload), answer);
    }

    /// <summary>Adds a scenario that calls the standard service "work" and stops it at its end.</summary>
    public static void AddCaller(this Dictionary<string, Func<string[], int>> scenarios, string name, Action<RpalConnection> body) => scenarios.Add(name, _ =>
    {
        RpalConnection work = Connect("work");
        body(work);
        work.Stop();
        return 0;
    });
}
