using Rpal.LoaderMember.Scenarios;

return LoaderDispatch.Run(args);
