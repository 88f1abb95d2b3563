using System.Runtime.ExceptionServices;

namespace Rpal.Memory.Tests;

/// <summary>A thread whose failed assertion fails the test that joins it. On a bare thread it would end the test host, and all other tests with it.</summary>
internal sealed class TestThread
{
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;

    private TestThread(Action body) => _thread = new Thread(() =>
    {
        try
        {
            body();
        }
        catch (Exception e)
        {
            _failure = ExceptionDispatchInfo.Capture(e);
        }
    })
    { IsBackground = true };

    public bool IsAlive => _thread.IsAlive;

    public static TestThread Start(Action body)
    {
        var made = new TestThread(body);
        made._thread.Start();
        return made;
    }

    /// <summary>Until it ends, which must be in time; throws what it threw.</summary>
    public void Join(TimeSpan limit) => Assert.True(TryJoin(limit), $"A thread of the test did not end in {limit.TotalSeconds} s.");

    /// <summary>As <see cref="Join"/>, but says whether it has ended.</summary>
    public bool TryJoin(TimeSpan time)
    {
        bool ended = _thread.Join(time);
        if (ended)
        {
            _failure?.Throw();
        }

        return ended;
    }
}
