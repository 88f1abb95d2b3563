using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Rpal.TestMember;

/// <summary>A scenario found something else than it should have.</summary>
internal sealed class ScenarioFailedException(string message) : Exception(message);

/// <summary>What scenarios expect.</summary>
internal static class Check
{
    /// <summary>How long a scenario waits for what must come.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>Longer than any test lets a family live: only for the end of a process that nobody looks after.</summary>
    private static readonly TimeSpan s_lifeLimit = TimeSpan.FromMinutes(30);

    /// <summary>Waits for a thread that has been told to end, or has nothing left to wait for.</summary>
    public static void Ends(Thread? thread, [CallerArgumentExpression(nameof(thread))] string? what = null) =>
        That(thread?.Join(Patience) ?? true, $"thread {what} has not ended");

    /// <summary>Waits as long as the process is of use: until somebody calls <see cref="Scenarios.Methods.Stop"/>.</summary>
    public static void Stops(ManualResetEventSlim stop) => That(stop.Wait(s_lifeLimit), "nobody has stopped this service");

    public static void That(bool condition, string? what = null, [CallerArgumentExpression(nameof(condition))] string? expression = null)
    {
        if (!condition)
        {
            throw new ScenarioFailedException($"{what} [{expression}]");
        }
    }

    public static void Equal<T>(T expected, T actual, [CallerArgumentExpression(nameof(actual))] string? what = null)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
        {
            throw new ScenarioFailedException($"{what}: expected {expected}, got {actual}");
        }
    }

    public static T Throws<T>(Action action, [CallerArgumentExpression(nameof(action))] string? what = null)
        where T : Exception
    {
        try
        {
            action();
        }
        catch (T e)
        {
            return e;
        }
        catch (Exception e)
        {
            throw new ScenarioFailedException($"{what}: expected {typeof(T).Name}, got {e}");
        }

        throw new ScenarioFailedException($"{what}: expected {typeof(T).Name}, nothing was thrown");
    }

    /// <summary>An argument's exception names the parameter, the limit and what was found.</summary>
    public static void Says(ArgumentException thrown, string parameter, string text)
    {
        Equal(parameter, thrown.ParamName);
        That(thrown.Message.Contains(text, StringComparison.Ordinal), thrown.Message);
    }

    public static void Error(RpalError expected, Action action) => Equal(expected, Throws<RpalException>(action).Error);

    /// <summary>Polls what another thread or process changes, for <see cref="Patience"/> at most.</summary>
    public static void Comes(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        for (long begin = Stopwatch.GetTimestamp(); !condition(); Thread.Yield())
        {
            if (Stopwatch.GetElapsedTime(begin) > Patience)
            {
                throw new ScenarioFailedException($"did not come: {what}");
            }
        }
    }

    /// <summary>Runs bodies on threads of their own; the first failure is thrown.</summary>
    public static void Parallel(int count, Action<int> body)
    {
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, count).Select(i => new Thread(() =>
        {
            try
            {
                body(i);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, null);
            }
        }))];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        foreach (Thread t in threads)
        {
            That(t.Join(s_lifeLimit), "a thread of the scenario has not ended");
        }

        if (failure is not null)
        {
            throw new ScenarioFailedException(failure.ToString());
        }
    }
}
